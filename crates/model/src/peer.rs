//! What a peer says about its own program.

use std::fmt;

/// Language of a peer; the index is its code in the binary header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Language {
    /// 0, also what a peer without the field is taken for.
    #[default]
    Java,
    /// 1: integer enums, quirks in several bodies.
    Cpp,
    /// 2
    Dotnet,
    /// 3
    Python,
    /// 4
    Delphi,
    /// 5
    Erlang,
    /// 6
    Ruby,
    /// 7, and every name or code that is not in this list.
    Other,
    /// 8
    Http,
    /// 9
    Go,
    /// 10
    Php,
    /// 11
    Oms,
    /// 12
    Rust,
    /// 13
    NodeJs,
}

const LANGUAGES: [(Language, &str); 14] = [
    (Language::Java, "JAVA"),
    (Language::Cpp, "CPP"),
    (Language::Dotnet, "DOTNET"),
    (Language::Python, "PYTHON"),
    (Language::Delphi, "DELPHI"),
    (Language::Erlang, "ERLANG"),
    (Language::Ruby, "RUBY"),
    (Language::Other, "OTHER"),
    (Language::Http, "HTTP"),
    (Language::Go, "GO"),
    (Language::Php, "PHP"),
    (Language::Oms, "OMS"),
    (Language::Rust, "RUST"),
    (Language::NodeJs, "NODE_JS"),
];

impl Language {
    /// Code in the binary header.
    pub fn code(self) -> u8 {
        LANGUAGES
            .iter()
            .zip(0..)
            .find_map(|((l, _), code)| (*l == self).then_some(code))
            .unwrap_or(7)
    }

    /// From the binary header; unknown codes are [`Language::Other`].
    pub fn from_code(code: u8) -> Self {
        LANGUAGES.get(usize::from(code)).map_or(Self::Other, |(l, _)| *l)
    }

    /// Name in the JSON header.
    pub fn name(self) -> &'static str {
        LANGUAGES.iter().find_map(|(l, name)| (*l == self).then_some(*name)).unwrap_or("OTHER")
    }

    /// From the JSON header; unknown names are [`Language::Other`].
    pub fn from_name(name: &str) -> Self {
        LANGUAGES.iter().find_map(|(l, n)| (*n == name).then_some(*l)).unwrap_or(Self::Other)
    }
}

impl fmt::Display for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Ordinal of a RocketMQ release in the reference implementation's version list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ProtocolVersion(pub i32);

impl ProtocolVersion {
    /// Registration bodies are JSON from here on.
    pub const V3_0_11: Self = Self(37);
    /// Can be called with 220.
    pub const V3_0_7_SNAPSHOT: Self = Self(28);
    /// Can be called with 307 and 309.
    pub const V3_1_8_SNAPSHOT: Self = Self(62);
    /// `maxReconsumeTimes` of code 36 is honoured.
    pub const V3_4_9: Self = Self(121);
    /// Routes go out as standard JSON.
    pub const V4_9_4: Self = Self(401);
    /// Compressed registrations carry queue mapping info.
    pub const V5_0_0: Self = Self(413);
    /// What this project answers and sends.
    pub const CURRENT: Self = Self(479);

    /// Release name of [`ProtocolVersion::CURRENT`].
    pub const CURRENT_NAME: &'static str = "V5_3_3";
}
