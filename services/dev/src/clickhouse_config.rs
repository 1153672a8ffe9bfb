//! The settings and users of the one-machine ClickHouse.
//!
//! The library logs in as `default` without a password when it starts, and that login cannot be
//! renamed. So it may do just its two start-up queries, and over HTTP it does not exist: requests
//! that do not come as our user meet no handler. Our user owns the data and may not read or
//! write files, call other servers, make users or shut the server down.

use std::{
    fs::{self, OpenOptions},
    io::{ErrorKind, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use rand::{Rng as _, distr::Alphanumeric};

use crate::{
    error::{Doing as _, Error, Result},
    sums::sha256_hex,
};

/// What a server is started with.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// The port for HTTP.
    pub http_port: u16,
    /// The port for the native protocol, for `Distributed` tables over several servers. The
    /// login `default` is closed over HTTP but not there: for tests only.
    pub tcp_port: Option<u16>,
    /// What the server may use altogether, in megabytes.
    pub memory_mb: u32,
}

/// The user the services log in as.
pub(crate) const USER: &str = "app";

/// The engines our user may make tables with: the MergeTree family and those that only refer to
/// tables or keep nothing, and Kafka, for the comparison with ClickHouse's own consumer.
const ENGINES: [&str; 18] = [
    "MergeTree",
    "AggregatingMergeTree",
    "CoalescingMergeTree",
    "CollapsingMergeTree",
    "ReplacingMergeTree",
    "SummingMergeTree",
    "ReplicatedMergeTree",
    "ReplicatedAggregatingMergeTree",
    "ReplicatedReplacingMergeTree",
    "ReplicatedSummingMergeTree",
    "Buffer",
    "Dictionary",
    "Distributed",
    "Kafka",
    "Memory",
    "Merge",
    "Null",
    "Set",
];

/// Where the library's settings are.
#[must_use]
pub(crate) fn library_file(dir: &Path) -> PathBuf {
    dir.join("library.xml")
}

/// Where a server binary's settings are.
#[must_use]
pub(crate) fn server_file(dir: &Path) -> PathBuf {
    dir.join("server.xml")
}

/// Where the data is: absolute, because the library takes nothing else.
#[must_use]
pub(crate) fn data(dir: &Path) -> PathBuf {
    dir.join("data")
}

/// Writes the settings into `dir`, which is made if need be, and returns our user's password,
/// made at the first call.
///
/// # Errors
/// When the folder or a file cannot be written, or its path has characters XML reserves.
pub(crate) fn prepare(dir: &Path, options: Options) -> Result<String> {
    fs::create_dir_all(data(dir)).doing(|| format!("making {}", dir.display()))?;
    let dir = dir.canonicalize().doing(|| dir.display().to_string())?;
    if dir.to_string_lossy().contains(['<', '>', '&']) {
        let source = std::io::Error::new(ErrorKind::InvalidFilename, "holds one of < > &");
        return Err(Error::Io { what: dir.display().to_string(), source });
    }
    let password = password(&dir.join("app.password"))?;
    let write = |path: &Path, text: &str| fs::write(path, text).doing(|| format!("writing {}", path.display()));
    write(&dir.join("users.xml"), &users(&password, options))?;
    write(&library_file(&dir), &settings(&dir, options, ""))?;
    let server = format!(
        "  <listen_host>127.0.0.1</listen_host>\n  <http_port>{}</http_port>\n  <path>{}/</path>\n  \
         <user_directories><users_xml><path>{}/users.xml</path></users_xml></user_directories>\n",
        options.http_port,
        data(&dir).display(),
        dir.display()
    );
    write(&server_file(&dir), &settings(&dir, options, &server))?;
    Ok(password)
}

/// The name of the cluster that the servers of [`join`] are.
pub(crate) const CLUSTER: &str = "shards";

/// Makes servers with data in these folders, each a shard, one cluster: they have one password and each knows all.
/// Called before they are started; needs their ports of the native protocol.
///
/// # Errors
/// When a file cannot be read or written.
pub(crate) fn join(shards: &[(PathBuf, u16)]) -> Result<()> {
    let mut shared = None;
    let mut remote = String::new();
    for (dir, port) in shards {
        fs::create_dir_all(dir).doing(|| format!("making {}", dir.display()))?;
        let own = dir.join("app.password");
        let password = match &shared {
            None => shared.insert(password(&own)?).clone(),
            Some(shared) => write_private(&own, shared).map(|()| shared.clone())?,
        };
        remote += &format!(
            "    <shard><internal_replication>true</internal_replication><replica><host>127.0.0.1</host>\
             <port>{port}</port><user>{USER}</user><password>{password}</password></replica></shard>\n"
        );
    }
    let text = format!(
        "<clickhouse>\n  <remote_servers><{CLUSTER}>\n{remote}  </{CLUSTER}></remote_servers>\n</clickhouse>\n"
    );
    // Beside each of the two files of settings, whichever is used: the server lays it over them.
    for (dir, _) in shards {
        for beside in [library_file(dir), server_file(dir)] {
            let folder = beside.with_extension("d");
            fs::create_dir_all(&folder).doing(|| format!("making {}", folder.display()))?;
            write_private(&folder.join("cluster.xml"), &text)?;
        }
    }
    Ok(())
}

fn password(path: &Path) -> Result<String> {
    let read = || fs::read_to_string(path).map(|text| text.trim().to_owned());
    match read() {
        Ok(password) => return Ok(password),
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(source) => return Err(Error::Io { what: format!("reading {}", path.display()), source }),
    }
    let password: String = rand::rng().sample_iter(Alphanumeric).take(32).map(char::from).collect();
    write_private(path, &password)?;
    Ok(password)
}

/// Writes a file that only its owner can read.
pub(crate) fn write_private(path: &Path, text: &str) -> Result<()> {
    let mut options = OpenOptions::new();
    let file = options.write(true).create(true).truncate(true).mode(0o600).open(path);
    file.and_then(|mut file| file.write_all(text.as_bytes())).doing(|| format!("writing {}", path.display()))
}

fn settings(dir: &Path, options: Options, more: &str) -> String {
    let memory = u64::from(options.memory_mb) << 20;
    let tcp = options.tcp_port.map(|port| format!("  <tcp_port>{port}</tcp_port>\n")).unwrap_or_default();
    format!(
        "<clickhouse>
  <logger><level>warning</level><console>1</console></logger>
  <users_config>{users}</users_config>
  <max_server_memory_usage>{memory}</max_server_memory_usage>
  <mark_cache_size>67108864</mark_cache_size>
  <max_thread_pool_free_size>16</max_thread_pool_free_size>
  <storage_configuration><disks><backups><type>local</type><path>{backups}/</path></backups></disks></storage_configuration>
  <backups><allowed_disk>backups</allowed_disk></backups>
  <http_handlers>
    <rule><url>/ping</url><handler><type>ping</type></handler></rule>
    <rule>
      <headers><X-ClickHouse-User>{USER}</X-ClickHouse-User></headers>
      <handler><type>dynamic_query_handler</type><query_param_name>query</query_param_name></handler>
    </rule>
  </http_handlers>
{tcp}{more}</clickhouse>
",
        users = dir.join("users.xml").display(),
        backups = dir.join("backups").display(),
    )
}

fn users(password: &str, options: Options) -> String {
    // One to open each listener's kind, one that keeps the server running.
    let start_up = 2 + u8::from(options.tcp_port.is_some());
    let mut grants = vec![
        "SHOW, SELECT, INSERT, ALTER, CREATE DATABASE, CREATE TABLE, CREATE VIEW, CREATE DICTIONARY, \
         CREATE TEMPORARY TABLE, DROP, TRUNCATE, OPTIMIZE, CHECK, KILL QUERY, dictGet, CLUSTER, SYSTEM MERGES, \
         SYSTEM TTL MERGES, SYSTEM FLUSH, SYSTEM DROP CACHE, BACKUP ON *.*"
            .to_owned(),
        format!("SET DEFINER ON {USER}"),
        "READ, WRITE ON KAFKA".to_owned(),
        "READ ON REMOTE".to_owned(),
    ];
    grants.extend(ENGINES.iter().map(|engine| format!("TABLE ENGINE ON {engine}")));
    let grants: String = grants.iter().map(|grant| format!("        <query>GRANT {grant}</query>\n")).collect();
    format!(
        "<clickhouse>
  <profiles><default/></profiles>
  <quotas>
    <start><interval><duration>2000000000</duration><queries>{start_up}</queries></interval></start>
    <default/>
  </quotas>
  <users>
    <default>
      <password/>
      <networks><ip>127.0.0.1</ip></networks>
      <profile>default</profile>
      <quota>start</quota>
      <grants>
        <query>GRANT SYSTEM LISTEN ON *.*</query>
        <query>GRANT CREATE TEMPORARY TABLE ON *.*</query>
        <query>GRANT READ ON FILE</query>
      </grants>
    </default>
    <{USER}>
      <password_sha256_hex>{hash}</password_sha256_hex>
      <networks><ip>127.0.0.1</ip></networks>
      <profile>default</profile>
      <quota>default</quota>
      <grants>
{grants}      </grants>
    </{USER}>
  </users>
</clickhouse>
",
        hash = sha256_hex(password.as_bytes()),
    )
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    const OPTIONS: Options = Options { http_port: 18123, tcp_port: None, memory_mb: 1024 };

    #[test]
    fn the_password_is_made_once_kept_privately_and_written_only_as_a_sum() {
        let dir = tempfile::tempdir().unwrap();
        let first = prepare(dir.path(), OPTIONS).unwrap();
        assert_eq!(prepare(dir.path(), OPTIONS).unwrap(), first);
        let file = dir.path().join("app.password");
        assert_eq!(fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
        let users = fs::read_to_string(dir.path().join("users.xml")).unwrap();
        assert!(!users.contains(&first) && users.contains(&sha256_hex(first.as_bytes())));
    }
}
