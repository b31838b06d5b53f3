//! `kreplay mock-broker`: the mock cluster inside librdkafka, for a demo or a test where no Kafka
//! can be had.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::{fs, thread};

use rdkafka::error::KafkaError;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

/// Why the mock cluster does not run.
#[derive(Debug, thiserror::Error)]
pub enum MockBrokerError {
    /// librdkafka refuses.
    #[error("the mock cluster: {0}")]
    Cluster(#[from] KafkaError),
    /// The file for the address cannot be written.
    #[error("--listen-file {}: {source}", path.display())]
    ListenFile {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// No runtime or no signals.
    #[error("the mock cluster: {0}")]
    System(#[from] io::Error),
}

/// Runs a mock cluster of one broker with these topics, writes its address to `listen_file` and
/// stays until SIGTERM, SIGINT or the end of standard input.
///
/// # Errors
///
/// [`MockBrokerError`] when it cannot be started.
pub fn run(listen_file: &Path, topics: &[String], partitions: i32) -> Result<(), MockBrokerError> {
    let cluster = start(listen_file, topics, partitions)?;
    let _ = writeln!(
        io::stderr(),
        "THIS IS NOT KAFKA but librdkafka's mock cluster, on {}: it lives in memory, keeps 5 MiB a \
         partition and forgets the oldest beyond that, and finds no offset by timestamp (--after \
         and --from TIMESTAMP).",
        cluster.bootstrap_servers()
    );
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(asked_to_end())?;
    Ok(())
}

/// The cluster serves until it is dropped.
fn start(
    listen_file: &Path,
    topics: &[String],
    partitions: i32,
) -> Result<MockCluster<'static, DefaultProducerContext>, MockBrokerError> {
    let cluster = MockCluster::new(1)?;
    for topic in topics {
        cluster.create_topic(topic, partitions, 1)?;
    }
    write_whole(listen_file, &cluster.bootstrap_servers())
        .map_err(|source| MockBrokerError::ListenFile { path: listen_file.to_owned(), source })?;
    Ok(cluster)
}

/// Whoever waits for the file must never read half of it.
fn write_whole(file: &Path, text: &str) -> io::Result<()> {
    let mut beside = file.as_os_str().to_owned();
    beside.push(".part");
    fs::write(&beside, format!("{text}\n"))?;
    fs::rename(&beside, file)
}

async fn asked_to_end() -> io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let (ended, end_of_input) = oneshot::channel();
    // A thread of its own: a read of standard input cannot be taken back, and a runtime would
    // wait for it before it ends.
    thread::spawn(move || {
        let mut rest = [0; 4096];
        while io::stdin().read(&mut rest).is_ok_and(|bytes| bytes > 0) {}
        let _ = ended.send(());
    });
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
        _ = end_of_input => {}
    }
    Ok(())
}

#[cfg(test)]
mod tests;
