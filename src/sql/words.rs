//! What the words of a statement tell of what it commands.
//!
//! Every word of every statement passes through here: nothing is allocated, and most words are told
//! apart from all keywords by their length and first letter.

use std::ops::Range;

use super::lexer::{Token, joined_parts};
use super::{Command, Part, Verb};
use super::{login_changes, read_only};

/// A word that means something to a replay wherever it stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Keyword {
    #[default]
    None,
    /// A function that takes a lock which the session keeps.
    AdvisoryLock,
    Analyze,
    And,
    Atomic,
    Begin,
    Case,
    Chain,
    CurrentSetting,
    /// What a server tells durations by, or what shows all settings.
    DurationSetting,
    End,
    For,
    From,
    Hold,
    Into,
    /// After FOR it locks rows: `UPDATE`, `SHARE`, `NO KEY UPDATE`, `KEY SHARE`.
    Lock,
    Read,
    SetConfig,
    /// `STDIN` or `STDOUT`: the grammar takes both for either, by the direction of the COPY.
    StandardStream,
    Temporary,
    Write,
    /// A function of PostgreSQL that changes something although a `SELECT` calls it.
    WritingFunction,
}

impl Keyword {
    fn of(word: &str) -> Self {
        use Keyword::{
            AdvisoryLock, Analyze, And, Atomic, Begin, Case, Chain, CurrentSetting,
            DurationSetting, End, For, From, Hold, Into, Lock, Read, SetConfig, StandardStream,
            Temporary, Write, WritingFunction,
        };
        let candidates: &[(&str, Self)] = match word.len() {
            2 => &[("no", Lock)],
            3 => &[("and", And), ("end", End), ("for", For), ("key", Lock)],
            4 => &[
                ("case", Case),
                ("from", From),
                ("hold", Hold),
                ("into", Into),
                ("read", Read),
                ("temp", Temporary),
            ],
            5 => &[
                ("begin", Begin),
                ("chain", Chain),
                ("share", Lock),
                ("stdin", StandardStream),
                ("write", Write),
            ],
            6 => &[
                ("update", Lock),
                ("atomic", Atomic),
                ("stdout", StandardStream),
                ("setval", WritingFunction),
                ("lo_put", WritingFunction),
            ],
            7 => &[("analyze", Analyze), ("analyse", Analyze), ("nextval", WritingFunction)],
            9 => &[
                ("temporary", Temporary),
                ("lo_create", WritingFunction),
                ("lo_unlink", WritingFunction),
                ("pg_notify", WritingFunction),
            ],
            10 => &[("set_config", SetConfig)],
            11 => &[("pg_settings", DurationSetting)],
            12 => &[("log_duration", DurationSetting)],
            15 => &[("current_setting", CurrentSetting)],
            16 => &[("pg_advisory_lock", AdvisoryLock), ("log_min_messages", DurationSetting)],
            17 => &[("pg_cancel_backend", WritingFunction)],
            18 => &[("pg_advisory_unlock", WritingFunction)],
            19 => &[("client_min_messages", DurationSetting)],
            20 => &[
                ("pg_try_advisory_lock", AdvisoryLock),
                ("pg_terminate_backend", WritingFunction),
                ("pg_show_all_settings", DurationSetting),
            ],
            21 => &[("pg_advisory_xact_lock", WritingFunction)],
            22 => &[("pg_advisory_unlock_all", WritingFunction)],
            23 => &[("pg_advisory_lock_shared", AdvisoryLock)],
            25 => &[
                ("pg_advisory_unlock_shared", WritingFunction),
                ("pg_try_advisory_xact_lock", WritingFunction),
            ],
            27 => &[("pg_try_advisory_lock_shared", AdvisoryLock)],
            28 => &[("pg_advisory_xact_lock_shared", WritingFunction)],
            32 => &[("pg_try_advisory_xact_lock_shared", WritingFunction)],
            _ => &[],
        };
        candidates
            .iter()
            .find(|(keyword, _)| word.eq_ignore_ascii_case(keyword))
            .map_or(Self::None, |&(_, keyword)| keyword)
    }
}

/// A word in lower case, if it is short enough to be a keyword.
struct Folded {
    bytes: [u8; 16],
    len: usize,
}

impl Folded {
    fn of(word: &str) -> Self {
        let mut bytes = [0; 16];
        let len = if word.len() <= bytes.len() { word.len() } else { 0 };
        bytes[..len].copy_from_slice(&word.as_bytes()[..len]);
        bytes.make_ascii_lowercase();
        Self { bytes, len }
    }

    fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[..self.len]).unwrap_or_default()
    }
}

/// The words of one statement that tell what it commands.
#[derive(Debug, Default)]
pub(super) struct StatementWords {
    range: Option<Range<usize>>,
    /// Where the first words stand; nowhere for a quoted identifier.
    leading: [Range<usize>; 3],
    words: usize,
    creates: bool,
    declares: bool,
    does: bool,
    /// Whether it begins with WITH, and what stands behind that.
    has_with: bool,
    behind_with: Option<Verb>,
    /// Open parentheses, and open `BEGIN ATOMIC` or `CASE` within a routine's body.
    depth: usize,
    in_routine_body: bool,
    last: Keyword,
    writes: bool,
    sets: bool,
    chains: bool,
    copies: bool,
    /// How many FROM a COPY has outside of parentheses.
    froms: u8,
    copies_stdin: bool,
    analyzes: bool,
    /// It says `READ WRITE`, or names the setting that forbids writes.
    lifts_read_only: bool,
    binds_connection: bool,
    /// Its body, a string, may change what a log-in finds.
    body_changes_logins: bool,
    names_settings: bool,
    names_duration_settings: bool,
}

impl StatementWords {
    /// Whether a semicolon here ends no statement.
    pub(super) fn is_nested(&self) -> bool {
        self.depth > 0
    }

    /// See [`super::Outline::lifts_read_only`].
    pub(super) fn lifts_read_only(&self) -> bool {
        self.lifts_read_only
    }

    /// See [`super::Outline::binds_connection`].
    pub(super) fn binds_connection(&self) -> bool {
        self.binds_connection
    }

    /// See [`super::Outline::changes_logins`].
    pub(super) fn changes_logins(&self, sql: &str) -> bool {
        let [first, second] = self.begins_with(sql);
        self.body_changes_logins || login_changes::begins_so(first, second)
    }

    /// See [`super::Outline::alters_logins`].
    pub(super) fn alters_logins(&self, sql: &str) -> bool {
        let [first, second] = self.begins_with(sql);
        self.body_changes_logins
            || login_changes::begins_so(first, second) && !login_changes::only_adds(first, second)
    }

    fn begins_with<'a>(&self, sql: &'a str) -> [&'a str; 2] {
        [0, 1].map(|at| &sql[self.leading[at].clone()])
    }

    /// See [`super::Outline::names_settings`].
    pub(super) fn names_settings(&self) -> bool {
        self.names_settings || self.sets
    }

    /// See [`super::Outline::names_duration_settings`].
    pub(super) fn names_duration_settings(&self, sql: &str) -> bool {
        let [first, second] = self.begins_with(sql);
        self.names_duration_settings
            || first.eq_ignore_ascii_case("show") && second.eq_ignore_ascii_case("all")
    }

    /// Whether it matters what its strings hold: a routine's text, or the name that set_config takes.
    pub(super) fn looks_into_texts(&self) -> bool {
        self.sets || self.does
    }

    /// Takes the next token.
    pub(super) fn add(&mut self, sql: &str, token: Token, range: Range<usize>) {
        let start = self.range.as_ref().map_or(range.start, |known| known.start);
        self.range = Some(start..range.end);
        let text = &sql[range.clone()];
        match token {
            Token::Word => return self.word(text, range),
            Token::Open => self.depth += 1,
            Token::Close => self.depth = self.depth.saturating_sub(1),
            Token::Quoted => {
                self.lead(0..0);
                self.lifts_read_only |= read_only::names_setting(text);
                self.names_duration_settings |=
                    Keyword::of(text.trim_matches('"')) == Keyword::DurationSetting;
            }
            Token::Text if self.looks_into_texts() => {
                let text = joined_parts(text);
                self.lifts_read_only |= read_only::names_setting(&text);
                self.body_changes_logins |= self.does && login_changes::are_in(&text);
                self.names_settings |= self.does;
            }
            _ => {}
        }
        self.last = Keyword::None;
    }

    fn lead(&mut self, range: Range<usize>) {
        if let Some(place) = self.leading.get_mut(self.words) {
            *place = range;
            self.words += 1;
        }
    }

    fn word(&mut self, text: &str, range: Range<usize>) {
        if self.words == 0 {
            self.creates = text.eq_ignore_ascii_case("create");
            self.copies = text.eq_ignore_ascii_case("copy");
            self.declares = text.eq_ignore_ascii_case("declare");
            self.does = text.eq_ignore_ascii_case("do");
            self.has_with = text.eq_ignore_ascii_case("with");
        } else if self.has_with && self.depth == 0 && self.behind_with.is_none() {
            self.behind_with = Verb::of_query(text);
        }
        if self.words < self.leading.len() {
            self.lead(range);
        }
        let word = Keyword::of(text);
        if self.creates {
            self.routine_word(word);
        }
        if self.copies && self.depth == 0 {
            self.copy_word(word);
        }
        match (self.last, word) {
            (_, Keyword::Into | Keyword::WritingFunction) | (Keyword::For, Keyword::Lock) => {
                self.writes = true;
            }
            (_, Keyword::CurrentSetting) => self.names_settings = true,
            (_, Keyword::DurationSetting) => self.names_duration_settings = true,
            (_, Keyword::SetConfig) => (self.sets, self.writes) = (true, true),
            (_, Keyword::AdvisoryLock) => (self.writes, self.binds_connection) = (true, true),
            (last, Keyword::Temporary) => {
                let made = self.creates && self.depth == 0 || last == Keyword::Into;
                self.binds_connection |= made;
            }
            (_, Keyword::Hold) => self.binds_connection |= self.declares,
            (Keyword::And, Keyword::Chain) => self.chains = true,
            (_, Keyword::Analyze) => self.analyzes = true,
            (Keyword::Read, Keyword::Write) => self.lifts_read_only = true,
            (_, Keyword::None) => self.lifts_read_only |= read_only::is_setting(text),
            _ => {}
        }
        self.last = word;
    }

    /// What a COPY copies from stands behind its first FROM, unless a query is copied.
    fn copy_word(&mut self, word: Keyword) {
        let is_source = self.last == Keyword::From && self.froms == 1;
        self.copies_stdin |= is_source && word == Keyword::StandardStream;
        self.froms = self.froms.saturating_add(u8::from(word == Keyword::From));
    }

    /// In a routine whose body is SQL, semicolons end no statement.
    fn routine_word(&mut self, word: Keyword) {
        match word {
            Keyword::Case if self.in_routine_body => self.depth += 1,
            Keyword::End if self.in_routine_body => {
                self.depth = self.depth.saturating_sub(1);
                self.in_routine_body = self.depth > 0;
            }
            Keyword::Atomic if !self.in_routine_body && self.last == Keyword::Begin => {
                self.in_routine_body = true;
                self.depth += 1;
            }
            _ => {}
        }
    }

    /// The statement, if there was a token.
    pub(super) fn finish(self, sql: &str) -> Option<Part> {
        let word = |at: usize| Folded::of(&sql[self.leading[at].clone()]);
        let (first, second, third) = (word(0), word(1), word(2));
        let command = self.command(&first, &second, &third);
        let verb = Verb::of(first.as_str(), command, self.behind_with);
        Some(Part { range: self.range?, command, verb })
    }

    fn command(&self, first: &Folded, second: &Folded, third: &Folded) -> Command {
        let second = second.as_str();
        // `ROLLBACK WORK TO s`, `END TRANSACTION`: a noise word may stand in between.
        let next = match second {
            "work" | "transaction" => third.as_str(),
            other => other,
        };
        match first.as_str() {
            "begin" => Command::Begin,
            "start" if second == "transaction" => Command::Begin,
            "commit" | "end" | "rollback" | "abort" if second == "prepared" => {
                Command::FinishPrepared
            }
            "rollback" if next == "to" => Command::Savepoint,
            "commit" | "end" | "rollback" | "abort" if self.chains => Command::Chain,
            "commit" | "end" => Command::Commit,
            "rollback" | "abort" => Command::Rollback,
            "savepoint" | "release" => Command::Savepoint,
            "prepare" if second == "transaction" => Command::PrepareTransaction,
            "prepare" => Command::Prepare,
            "set" if matches!(second, "local" | "transaction" | "constraints") => Command::SetLocal,
            "set" | "reset" => Command::Set,
            "discard" => Command::Discard,
            "deallocate" => Command::Deallocate,
            "listen" => Command::Listen,
            "unlisten" => Command::Unlisten,
            "copy" if self.copies_stdin => Command::CopyFromStdin,
            "select" | "with" if self.sets => Command::SetConfig,
            "select" | "values" | "table" | "show" if !self.writes => Command::Read,
            "explain" if !self.analyzes => Command::Read,
            _ => Command::Other,
        }
    }
}
