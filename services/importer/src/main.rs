//! The importer's command line.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, Parser, Subcommand};
use domain::catalogue::Catalogue;
use domain::statement::Metrics;
use domain::time::Day;
use importer::forms::{Broken, Reader};
use importer::send::Sender;
use importer::{Import, summary, token};
use runtime::process;

/// States published figures: files in, statements to the collector.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    #[command(flatten)]
    to: To,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Args)]
struct To {
    /// Address of the collector.
    #[arg(
        long,
        global = true,
        env = "IMPORTER_COLLECTOR",
        default_value = "http://127.0.0.1:50051",
        value_name = "URL"
    )]
    collector: String,
    /// The department's token.
    #[arg(long, global = true, env = "IMPORTER_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// … or a file of tokens, such as `make run` writes.
    #[arg(long, global = true, env = "IMPORTER_TOKENS", value_name = "FILE")]
    tokens: Option<PathBuf>,
    /// Whose token in that file.
    #[arg(long, global = true, env = "IMPORTER_DEPARTMENT", default_value = "co", value_name = "ID")]
    department: String,
    /// Only says what is there and what breaks a rule; states nothing.
    #[arg(long, global = true)]
    preview: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// States the figures of a CSV file, all of them or none.
    File {
        /// The file.
        path: PathBuf,
        /// The day of publication, such as 2018-09-19.
        #[arg(long, value_name = "DATE")]
        published: String,
        /// Where the figures come from, for people; the name of the file if it is not given.
        #[arg(long)]
        title: Option<String>,
    },
    /// States the published figures that the repository holds, one import for each version.
    Published,
}

/// Broken lines that are shown; the rest is counted.
const SHOWN_MAX: usize = 50;

fn main() -> ExitCode {
    process::run("importer", obey(Arguments::parse()))
}

async fn obey(arguments: Arguments) -> anyhow::Result<()> {
    let (catalogue, metrics) = (Catalogue::embedded(), Metrics::embedded());
    let imports = match arguments.command {
        Command::Published => importer::published(),
        Command::File { path, published, title } => {
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            let published = Day::parse(&published).context("--published is a date such as 2018-09-19")?;
            let bytes = std::fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
            let today = Day::at(runtime::clock::now_ms());
            let read = Reader { catalogue: &catalogue, metrics: &metrics, today }.read(&bytes);
            let read = read.map_err(|broken| broken_lines(&name, &broken))?;
            println!("{name}: {}, {} lines, {} figures", read.form.words(), read.lines, read.figures.len());
            read.warnings.iter().for_each(|warning| println!("  note: {warning}"));
            vec![Import { title: title.unwrap_or(name), published, figures: read.figures }]
        }
    };
    let token = match (arguments.to.token, arguments.to.tokens) {
        (Some(token), _) => Some(token),
        (None, Some(file)) => Some(token::of(&file, &arguments.to.department)?),
        (None, None) => None,
    };
    if arguments.to.preview && token.is_none() {
        imports.iter().for_each(|import| print!("{}", said(import, &metrics)));
        println!("preview: nothing was stated; with a token the collector's rules are asked too");
        return Ok(());
    }
    let token = token.context("say who states this: IMPORTER_TOKEN, or --tokens and --department")?;
    let mut sender = Sender::new(&arguments.to.collector, &token, &catalogue, &metrics)?;
    for import in &imports {
        print!("{}", said(import, &metrics));
        state(&mut sender, import, arguments.to.preview).await?;
    }
    Ok(())
}

fn said(import: &Import, metrics: &Metrics) -> String {
    format!("{}, published on {}\n{}", import.title, summary::date(import.published), summary::lines(import, metrics))
}

async fn state(sender: &mut Sender<'_>, import: &Import, preview: bool) -> anyhow::Result<()> {
    let all = import.figures.len();
    let answer = sender.send(import, preview, move |sent| {
        eprint!("\r  {} %", 100 * sent / all.max(1));
        // Progress that cannot be shown is no reason to stop.
        drop(std::io::stderr().flush());
    });
    let answer = answer.await?;
    eprint!("\r       \r");
    for rejection in answer.rejections.iter().take(SHOWN_MAX) {
        let figure = &import.figures[rejection.index as usize];
        let message = rejection.rejected.as_ref().map_or("", |rejected| rejected.message.as_str());
        println!("  service {}, {}: {message}", figure.service.0, figure.window.words());
    }
    anyhow::ensure!(answer.rejected == 0, "{} of {all} figures break a rule; nothing was stated", answer.rejected);
    match answer.receipt {
        None => println!("  preview: all {all} figures keep the rules; nothing was stated"),
        Some(receipt) => println!(
            "  stated: {all} figures, receipt {}/{}/{}",
            receipt.topic_epoch, receipt.partition, receipt.offset
        ),
    }
    Ok(())
}

fn broken_lines(name: &str, broken: &[Broken]) -> anyhow::Error {
    let shown: Vec<_> = broken.iter().take(SHOWN_MAX).map(|line| format!("\n  {line}")).collect();
    let more = broken.len().saturating_sub(SHOWN_MAX);
    let more = if more > 0 { format!("\n  and {more} more") } else { String::new() };
    let lines = if broken.len() == 1 {
        "1 line breaks a rule".to_owned()
    } else {
        format!("{} lines break a rule", broken.len())
    };
    anyhow::anyhow!("{name}: {lines}; nothing was stated{}{more}", shown.concat())
}
