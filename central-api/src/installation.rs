//! What every command begins with: the configuration, and a database that answers.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Connection, PgConnection};

use crate::clock::Clock;
use crate::config::Config;
use crate::database::{self, Fault};
use crate::db::{installation, sites};
use crate::postgres::{Cluster, account};
use crate::secret::{self, Secret, hex};
use crate::state::AppState;

/// How long a start waits for a database that is starting, too.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// What helps against a secret that is not the database's.
pub const RIGHT_SECRET: &str = "Restore it from where it is kept, or name the database that belongs to it. If it is lost: `central-api accept-secret` says what is \
     lost with it, and takes the one that is set now.";
/// Holds the secret of an embedded installation, in its data directory.
const SECRET_FILE: &str = "secret";

/// What a start does in a database that knows no secret yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unknown {
    /// Keeps its own: what serves has the right one, or nothing works.
    Keep,
    /// Keeps its own only while nothing was made with any: a command with a wrong one must not keep the service from starting.
    Leave,
}

/// How the secret stands to the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fit {
    /// The database was used with it.
    Right,
    /// The database was used with another one.
    Wrong,
    /// The database knows none yet.
    NotKnown,
}

/// A configuration with its secret, and a database that answers.
pub struct Installation {
    /// Complete: the secret is set.
    pub config: Config,
    /// How to reach the database.
    pub options: PgConnectOptions,
    /// The embedded Postgres, if that is what it is.
    pub cluster: Option<Arc<Cluster>>,
}

impl Installation {
    /// Reads the secret, starts the embedded Postgres if that is asked for, and waits for the database to answer. Where there is no
    /// embedded installation yet, one is made: that is for `serve` and `migrate`.
    ///
    /// # Errors
    /// What stands in the way, in a sentence.
    pub async fn open(config: Config) -> anyhow::Result<Self> {
        Self::open_with(config, PATIENCE).await
    }

    /// As [`Installation::open`], for everything that works on an installation which is there: called in another directory it must not
    /// make a second, empty one, which would then answer in place of the first.
    ///
    /// # Errors
    /// There is none; or what stands in the way, in a sentence.
    pub async fn open_existing(config: Config, patience: Duration) -> anyhow::Result<Self> {
        if config.is_embedded() && !Cluster::exists(&config.data_dir)? {
            bail!(
                "there is no installation in {}; set UD_DATA_DIR or DATABASE_URL (`central-api serve` and `central-api migrate` make one)",
                std::path::absolute(&config.data_dir)
                    .unwrap_or(config.data_dir)
                    .display()
            );
        }
        Self::open_with(config, patience).await
    }

    async fn open_with(config: Config, patience: Duration) -> anyhow::Result<Self> {
        // Of a cluster that is there already: whether one may be made is seen in it.
        let lost = config.is_embedded() && config.secret.expose().is_empty() && secret_is_lost(&config.data_dir)?;
        let config = if lost { config } else { with_secret(config)? };
        let (options, cluster) = match &config.database_url {
            Some(url) => (database::options_of(url, "DATABASE_URL")?, None),
            None => {
                let cluster = Cluster::open(&config).await?;
                (cluster.connect_options(), Some(Arc::new(cluster)))
            }
        };
        let opened = async {
            wait_for(&options, patience).await?;
            if !lost {
                return Ok(config);
            }
            refuse_new_secret(&options, &config.data_dir).await?;
            with_secret(config)
        };
        match opened.await {
            Ok(config) => Ok(Self {
                config,
                options,
                cluster,
            }),
            Err(error) => {
                if let Some(cluster) = cluster {
                    cluster.close().await?;
                }
                Err(error)
            }
        }
    }

    /// Brings the schema up to date and answers what handlers share, with the sites read.
    ///
    /// # Errors
    /// The migration that failed, a secret that is not the database's, or the database's.
    pub async fn state(&self, unknown: Unknown) -> anyhow::Result<AppState> {
        let applied = database::migrate(&self.options).await?;
        if applied > 0 {
            tracing::info!(applied, "migrations applied");
        }
        self.check_secret(unknown).await?;
        let pool = database::write_pool(&self.config, self.options.clone());
        let read_pool = database::read_pool(&self.config, self.options.clone())?;
        let state = AppState::new(
            self.config.clone(),
            pool,
            read_pool,
            Clock::system(),
            self.cluster.clone(),
        )
        .context("starting the writers of events")?;
        state.sites.read(sites::all(&state.pool)).await?;
        Ok(state)
    }

    /// Refuses another secret than the one that the database was used with: contacts would be hashed otherwise, so that customers are not
    /// found again, and workers would be refused, and nobody would be told.
    async fn check_secret(&self, unknown: Unknown) -> anyhow::Result<()> {
        let options = self.options.clone().disable_statement_logging();
        let mut connection = PgConnection::connect_with(&options).await?;
        let mut fit = self.fit(&mut connection).await?;
        let keeps = match unknown {
            Unknown::Keep => true,
            Unknown::Leave => sites::none(&mut connection).await?,
        };
        if fit == Fit::NotKnown && keeps {
            let kept = installation::keep_fingerprint(&mut connection, &self.config.secret.fingerprint()).await;
            match kept {
                Ok(()) => fit = self.fit(&mut connection).await?,
                // A database that takes no writes now: the next start keeps it.
                Err(error) if database::fault(&error) == Fault::Passing => {
                    tracing::warn!(%error, "the secret's fingerprint was not kept");
                }
                Err(error) => return Err(error).context("keeping the secret's fingerprint"),
            }
        }
        connection.close().await.ok();
        match fit {
            Fit::Wrong => bail!("{} {}", self.wrong_secret(), RIGHT_SECRET),
            Fit::Right | Fit::NotKnown => Ok(()),
        }
    }

    /// How the secret stands to the database, whose schema is up to date.
    ///
    /// # Errors
    /// The database's.
    pub async fn fit(&self, db: &mut PgConnection) -> sqlx::Result<Fit> {
        let known = installation::secret_fingerprint(db).await?;
        Ok(match known {
            None => Fit::NotKnown,
            Some(known) if known == self.config.secret.fingerprint() => Fit::Right,
            Some(_) => Fit::Wrong,
        })
    }

    /// What is wrong with a secret that is not the database's, in a sentence.
    pub fn wrong_secret(&self) -> String {
        let place = match self.config.is_embedded() {
            true => format!(
                " (or, without it, {})",
                self.config.data_dir.join(SECRET_FILE).display()
            ),
            false => String::new(),
        };
        format!(
            "UD_SECRET{place} is not the secret that this database was used with: contacts would be hashed otherwise, so that customers are \
             not found again, and workers would be refused."
        )
    }

    /// Leaves the embedded Postgres; whoever leaves last stops it.
    ///
    /// # Errors
    /// When it does not stop.
    pub async fn close(self) -> anyhow::Result<()> {
        if let Some(cluster) = &self.cluster
            && cluster.close().await?
        {
            tracing::info!("Postgres stopped");
        }
        Ok(())
    }
}

/// Whether there is a cluster, and no secret beside it.
fn secret_is_lost(data_dir: &Path) -> anyhow::Result<bool> {
    Ok(Cluster::exists(data_dir)? && !data_dir.join(SECRET_FILE).exists())
}

/// Refuses to make a secret for a database that was used with another one: what was signed and hashed with that would silently count for
/// nothing any more.
async fn refuse_new_secret(options: &PgConnectOptions, data_dir: &Path) -> anyhow::Result<()> {
    let mut connection = PgConnection::connect_with(&options.clone().disable_statement_logging()).await?;
    let migrated: bool = sqlx::query_scalar("select to_regclass('sites') is not null")
        .fetch_one(&mut connection)
        .await?;
    let used = migrated
        && sqlx::query_scalar("select exists (select from sites)")
            .fetch_one(&mut connection)
            .await?;
    connection.close().await.ok();
    if used {
        let file = data_dir.join(SECRET_FILE);
        bail!(
            "{} is missing, and with it the installation's secret; restore it from a backup, or set UD_SECRET to what it was. If it is lost, set UD_SECRET to another one (`openssl rand -hex 32`); `central-api accept-secret` then says what is lost with it, and takes it",
            file.display(),
        );
    }
    Ok(())
}

/// The secret as given, or the one that belongs to the data directory of an embedded installation.
///
/// # Errors
/// When there is none, or its file cannot be read or made.
pub fn with_secret(mut config: Config) -> anyhow::Result<Config> {
    if config.secret.expose().is_empty() {
        if !config.is_embedded() {
            bail!("UD_SECRET: must be set when DATABASE_URL is; make one with `openssl rand -hex 32` and keep it");
        }
        std::fs::create_dir_all(&config.data_dir)
            .with_context(|| format!("creating the data directory {}", config.data_dir.display()))?;
        let file = config.data_dir.join(SECRET_FILE);
        config.secret = secret::read_or_make(&file, || hex(&rand::random::<[u8; 32]>()))?;
        account::leave_to_owner(&config.data_dir, &file)?;
        if config.secret == Secret::new("") {
            bail!(
                "{} is empty; restore it from a backup, or remove it when nothing was stored yet",
                file.display()
            );
        }
    }
    Ok(config)
}

/// Connects once. A database that is unreachable or starting is waited for; one that refuses us is not.
async fn wait_for(options: &PgConnectOptions, patience: Duration) -> anyhow::Result<()> {
    let options = options.clone().disable_statement_logging();
    let until = Instant::now() + patience;
    let mut said = false;
    loop {
        match PgConnection::connect_with(&options).await {
            Ok(connection) => {
                connection.close().await.ok();
                return Ok(());
            }
            Err(error) => {
                let later = match &error {
                    sqlx::Error::Io(_) => true,
                    sqlx::Error::Database(error) => error
                        .code()
                        .is_some_and(|code| code.starts_with("57P0") || code.starts_with("53")),
                    _ => false,
                };
                if !later || Instant::now() >= until {
                    return Err(error).with_context(|| {
                        format!(
                            "the database at {}:{} does not take connections",
                            options.get_host(),
                            options.get_port()
                        )
                    });
                }
                if !said {
                    tracing::warn!(%error, "the database does not answer yet; waiting for it");
                    said = true;
                }
                tokio::time::sleep(Duration::from_millis(250)).await;
            }
        }
    }
}
