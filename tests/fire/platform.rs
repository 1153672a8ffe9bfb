//! The six processes of a schedule: each on ports of its own that it keeps, behind links of its own.
//!
//! Like a supervisor the platform starts a process again that has ended by itself, and says so.

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use dev::child::{Child, Spec};
use tests::shared::Shared;
use tests::stack::Stack;
use tests::until::{PATIENCE, until};

use crate::clock;
use crate::plan::{Form, Kind, Plan};
use crate::rig::{Member, Rig};

/// A process that can be ended and started again.
struct Process {
    member: Member,
    spec: Spec,
    admin: SocketAddr,
    service: SocketAddr,
    child: Option<Child>,
    /// It is down because the schedule wants it.
    wanted: bool,
    /// Not started again before.
    not_before: Instant,
}

/// Everything of one schedule.
pub(crate) struct Platform {
    pub(crate) stack: Stack,
    processes: Vec<Process>,
    /// Processes that ended by themselves, with what they said.
    pub(crate) incidents: Vec<String>,
}

impl Platform {
    /// Creates topics and tables and starts two of each service, ready for traffic.
    pub(crate) fn start(rig: &mut Rig, shared: &Shared, plan: &Plan, name: &str) -> Self {
        let mut stack = match rig.form {
            Form::Single => Stack::on(rig.direct.clone(), shared, name),
            Form::Cluster => Stack::on_cluster(&mut rig.servers, shared, name),
        };
        stack.set("AGGREGATOR_COUNTING__FLUSH_MS", &plan.flush_ms);
        stack.set("GATEWAY_START__SKEW_MS", &plan.skew_ms);
        // All clocks that a retraction waits for are one.
        stack.set("AGGREGATOR_LATE__SKEW_MS", "100");
        stack.provision();
        let processes = Member::ALL.into_iter().map(|member| process(rig, &stack, member)).collect();
        let mut platform = Self { stack, processes, incidents: Vec::new() };
        if let Some(library) = rig.clocks.as_ref().filter(|_| plan.has(Kind::shifts_a_clock)) {
            platform.shift_clocks(library);
        }
        for member in Member::ALL {
            platform.launch(member);
        }
        until("the platform is ready", PATIENCE, || {
            platform.supervise(rig);
            platform.unready().map_or(Ok(()), Err)
        });
        platform
    }

    /// Collectors that are started from now on have clocks that can be set.
    fn shift_clocks(&mut self, library: &Path) {
        let dir = self.stack.dir().to_owned();
        for process in self.processes.iter_mut().filter(|process| process.member.program == "collector") {
            clock::set(&dir, process.member, 0);
            process.spec.environment.extend(clock::environment(library, &dir, process.member));
        }
    }

    /// Where members listen for their own clients.
    pub(crate) fn services(&self, program: &str) -> Vec<SocketAddr> {
        self.processes.iter().filter(|p| p.member.program == program).map(|p| p.service).collect()
    }

    /// Starts a member if it does not run.
    pub(crate) fn launch(&mut self, member: Member) {
        let process = &mut self.processes[member.at()];
        process.wanted = true;
        if process.child.is_none() {
            let started = Child::start(process.spec.clone());
            process.child = Some(started.unwrap_or_else(|error| panic!("{}: {error}", member.name())));
        }
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self, member: Member) {
        let process = &mut self.processes[member.at()];
        process.wanted = false;
        if let Some(mut child) = process.child.take() {
            child.kill();
        }
    }

    /// SIGTERM, and whatever it takes then.
    pub(crate) fn stop(&mut self, member: Member) {
        let process = &mut self.processes[member.at()];
        process.wanted = false;
        if let Some(mut child) = process.child.take() {
            let exit = child.stop();
            if exit != "code 0" {
                self.incidents.push(format!("{} was asked to stop and ended with {exit}", member.name()));
            }
        }
    }

    /// SIGSTOP.
    pub(crate) fn pause(&mut self, member: Member) {
        if let Some(child) = &mut self.processes[member.at()].child {
            child.pause();
        }
    }

    /// SIGCONT.
    pub(crate) fn resume(&mut self, member: Member) {
        if let Some(child) = &mut self.processes[member.at()].child {
            child.resume();
        }
    }

    /// Starts again what has ended by itself.
    pub(crate) fn supervise(&mut self, rig: &mut Rig) {
        self.incidents.extend(rig.supervise());
        for process in &mut self.processes {
            let exit = process.child.as_mut().and_then(Child::exit);
            if let Some(exit) = exit {
                let said = process.child.as_ref().map(|child| child.tail(1)).unwrap_or_default();
                self.incidents.push(format!("{} ended with {exit}: {said}", process.member.name()));
                process.child = None;
                process.not_before = Instant::now() + Duration::from_secs(1);
            }
        }
        for at in 0..self.processes.len() {
            let process = &self.processes[at];
            if process.wanted && process.child.is_none() && Instant::now() >= process.not_before {
                self.launch(process.member);
            }
        }
    }

    /// Who is not ready, and why.
    pub(crate) fn unready(&self) -> Option<String> {
        self.processes.iter().find_map(|process| {
            let name = process.member.name();
            match dev::http::get(process.admin, "/health/ready") {
                Ok(answer) if answer.status == 200 => None,
                Ok(answer) => Some(format!("{name} is not ready: {}", answer.body.trim())),
                Err(error) => Some(format!("{name}: {error}")),
            }
        })
    }
}

fn process(rig: &Rig, stack: &Stack, member: Member) -> Process {
    let ports = &rig.ports[member.at()];
    let local = |port: u16| SocketAddr::from(([127, 0, 0, 1], port));
    let prefix = member.program.to_uppercase();
    let brokers: Vec<_> = ports.kafka.iter().map(|port| local(*port).to_string()).collect();
    let mut further = stack.told(member.program, u32::try_from(member.number).expect("one of two"));
    further.extend([
        (format!("{prefix}_ADMIN__LISTEN"), local(ports.admin).to_string()),
        (format!("{prefix}_KAFKA__BROKERS"), brokers.join(",")),
    ]);
    if member.program != "collector" {
        further.push((format!("{prefix}_CLICKHOUSE__URL"), format!("http://{}", local(ports.clickhouse))));
    }
    match member.program {
        "collector" => further.push((format!("{prefix}_GRPC__LISTEN"), local(ports.service).to_string())),
        "gateway" => further.push((format!("{prefix}_HTTP__LISTEN"), local(ports.service).to_string())),
        _ => further.push((format!("{prefix}_GROUP__INSTANCE_ID"), member.name())),
    }
    let spec = stack.spec(member.program, &member.name(), &further).expect("the services are built");
    let (admin, service, not_before) = (local(ports.admin), local(ports.service), Instant::now());
    Process { member, spec, admin, service, child: None, wanted: false, not_before }
}
