//! Who takes part: the three organisations, their hosts and their people.
//!
//! Owns names and addresses, all from ranges that are set aside for examples (`.example`, 192.0.2.0/24,
//! 198.51.100.0/24, 203.0.113.0/24) or private (10.0.0.0/8). What happens on the hosts is left to the parent's
//! other modules.

use std::fmt;

use super::random::Random;

/// One organisation.
#[derive(Debug)]
pub struct Org {
    /// Its id, and the first label of its domain's name.
    pub id: &'static str,
    /// Its position in the lists of this module.
    pub at: usize,
    /// Windows domain.
    pub domain: &'static str,
    /// The source of its Windows events.
    pub windows: &'static str,
    /// The source of its Suricata log; empty when it has none.
    pub ids: &'static str,
    /// The second byte of its addresses: 10.x.0.0/16.
    pub network: u8,
    /// Its workstations: what their names begin with, digits of their numbers, how many there are.
    pub workstations: (&'static str, usize, u16),
    /// Its servers, by name. The first is the domain controller and resolver.
    pub servers: &'static [&'static str],
    /// Of its accounts' SIDs, all but the last number.
    pub sid: &'static str,
}

/// A ministry.
pub static MINISTRY: Org = Org {
    id: "ministry",
    at: 0,
    domain: "MINISTRY",
    windows: "ministry-windows",
    ids: "",
    network: 10,
    workstations: ("MIN-WS-", 3, 120),
    servers: &["MIN-DC-01", "MIN-DC-02", "MIN-FILE-01", "MIN-MAIL-01", "MIN-WEB-01", "MIN-SQL-01"],
    sid: "S-1-5-21-1417003982-2264801177-3105520846",
};

/// A power company, with a control network behind its office network.
pub static POWER: Org = Org {
    id: "power",
    at: 1,
    domain: "POWER",
    windows: "power-windows",
    ids: "power-ids",
    network: 20,
    workstations: ("PWR-WS-", 3, 80),
    servers: &["PWR-DC-01", "PWR-FILE-01", "PWR-SQL-01", "PWR-HIST-01", "PWR-HIST-02", "PWR-JUMP-01"],
    sid: "S-1-5-21-2680115403-1093347721-4170226895",
};

/// A railway.
pub static RAIL: Org = Org {
    id: "rail",
    at: 2,
    domain: "RAIL",
    windows: "rail-windows",
    ids: "rail-ids",
    network: 30,
    workstations: ("RAIL-DSP-", 2, 60),
    servers: &["RAIL-DC-01", "RAIL-FILE-01", "RAIL-TT-01", "RAIL-SQL-01"],
    sid: "S-1-5-21-3351907264-1870264459-2046613578",
};

/// The first server's last byte of address; the others follow.
const SERVER_ADDRESS: usize = 10;
/// The last number of the SID of the user of workstation 0; the others follow.
const USER_RID: u16 = 1_090;

/// One in so many events of an organisation is from a server.
const SERVER_SHARE: u64 = 4;

const SURNAMES: &[&str] = &[
    "sato",
    "suzuki",
    "takahashi",
    "ito",
    "watanabe",
    "yamamoto",
    "nakamura",
    "kobayashi",
    "kato",
    "yoshida",
    "yamada",
    "sasaki",
    "matsumoto",
    "inoue",
    "tanaka",
    "kimura",
    "hayashi",
    "shimizu",
    "saito",
    "mori",
    "abe",
    "ikeda",
    "hashimoto",
    "ishikawa",
    "ogawa",
    "goto",
    "okada",
    "fujita",
    "endo",
    "aoki",
];
const INITIALS: &[char] = &['a', 'h', 'k', 'm', 'n', 'r', 's', 't', 'y', 'e', 'c', 'j'];

/// A host of an organisation. Its display is the full name: `MIN-WS-014.ministry.example`.
#[derive(Debug, Clone, Copy)]
pub struct Host {
    /// Whose it is.
    pub org: &'static Org,
    /// Which it is.
    pub place: Place,
}

/// Which of an organisation's hosts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// A workstation, by number from 1; each has one user.
    Workstation(u16),
    /// A server, by its position in the list.
    Server(usize),
}

impl Host {
    /// Any host of the organisation: mostly a workstation.
    pub fn any(org: &'static Org, random: &mut Random) -> Self {
        if random.below(SERVER_SHARE) == 0 {
            let place = Place::Server(random.below(org.servers.len() as u64) as usize);
            return Self { org, place };
        }
        Self::workstation(org, random)
    }

    /// Any workstation of the organisation.
    pub fn workstation(org: &'static Org, random: &mut Random) -> Self {
        let number = random.between(1, u64::from(org.workstations.2) + 1) as u16;
        Self { org, place: Place::Workstation(number) }
    }

    /// True for a server.
    pub fn is_server(&self) -> bool {
        matches!(self.place, Place::Server(_))
    }

    /// Its address.
    pub fn address(&self) -> Address {
        let (third, fourth) = match self.place {
            Place::Workstation(number) => (1, number as u8),
            Place::Server(at) => (0, (SERVER_ADDRESS + at) as u8),
        };
        Address([10, self.org.network, third, fourth])
    }

    /// The name without the domain.
    pub fn short(&self) -> ShortName {
        ShortName(*self)
    }

    /// The account that works there: a person, or a server's service account.
    pub fn user(&self) -> User {
        User(*self)
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.example", self.short(), self.org.id)
    }
}

/// Shows a host's name without the domain.
#[derive(Debug, Clone, Copy)]
pub struct ShortName(Host);

impl fmt::Display for ShortName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.place {
            Place::Workstation(number) => {
                let (prefix, digits, _) = self.0.org.workstations;
                write!(f, "{prefix}{number:0digits$}")
            }
            Place::Server(at) => f.write_str(self.0.org.servers.get(at).copied().unwrap_or_default()),
        }
    }
}

/// An account's name without the domain.
#[derive(Debug, Clone, Copy)]
pub struct User(Host);

impl User {
    /// The last number of the account's SID.
    pub fn rid(&self) -> u16 {
        match self.0.place {
            Place::Workstation(number) => USER_RID + number,
            Place::Server(_) => 1_061,
        }
    }
}

impl fmt::Display for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.place {
            Place::Workstation(number) => {
                let number = usize::from(number);
                let initial = INITIALS[(number / SURNAMES.len() + number) % INITIALS.len()];
                write!(f, "{initial}.{}", SURNAMES[number % SURNAMES.len()])
            }
            Place::Server(_) => f.write_str("svc_agent"),
        }
    }
}

/// An IPv4 address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Address(pub [u8; 4]);

impl Address {
    /// An outside server, of the two example networks that ordinary traffic goes to.
    pub fn outside(random: &mut Random) -> Self {
        let last = random.between(1, 255) as u8;
        if random.below(2) == 0 { Self([192, 0, 2, last]) } else { Self([198, 51, 100, last]) }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d] = self.0;
        write!(f, "{a}.{b}.{c}.{d}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_addresses_of_those_who_matter() {
        for (org, place, host, user, address) in [
            (&MINISTRY, Place::Workstation(14), "MIN-WS-014.ministry.example", "k.tanaka", "10.10.1.14"),
            (&POWER, Place::Server(4), "PWR-HIST-02.power.example", "svc_agent", "10.20.0.14"),
            (&RAIL, Place::Workstation(7), "RAIL-DSP-07.rail.example", "t.kobayashi", "10.30.1.7"),
        ] {
            let found = Host { org, place };
            assert_eq!(found.to_string(), host);
            assert_eq!(found.user().to_string(), user);
            assert_eq!(found.address().to_string(), address);
        }
        assert_eq!(Host { org: &MINISTRY, place: Place::Workstation(14) }.user().rid(), 1_104);
    }

    #[test]
    fn no_two_workstations_share_a_user() {
        for org in [&MINISTRY, &POWER, &RAIL] {
            let users: std::collections::BTreeSet<_> = (1..=org.workstations.2)
                .map(|number| Host { org, place: Place::Workstation(number) }.user().to_string())
                .collect();
            assert_eq!(users.len(), usize::from(org.workstations.2), "{}", org.id);
        }
    }
}
