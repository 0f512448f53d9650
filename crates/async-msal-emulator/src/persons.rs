use serde::Serialize;

use crate::photo;
use crate::random::{seeded_guid, seeded_text};

/// Somebody who can sign in.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct Person {
    /// `name` of the id token, `displayName` of Graph.
    pub display_name: String,
    /// First name.
    pub given_name: String,
    /// Last name.
    pub surname: String,
    /// `preferred_username` of the id token; what tests name the person by.
    pub username: String,
    /// Graph `userPrincipalName`: for a guest it differs from [`username`](Self::username).
    pub user_principal_name: String,
    /// Graph `mail`.
    pub mail: Option<String>,
    /// Job title.
    pub job_title: String,
    /// `oid`: the object id in the emulator's tenant.
    pub object_id: String,
    /// `uid` of `client_info`: the object id in the home tenant.
    pub home_object_id: String,
    /// `utid` of `client_info`: the home tenant.
    pub home_tenant_id: String,
    /// The [`username`](Self::username) of the manager, if there is one.
    pub manager: Option<String>,
    /// Application roles, the `roles` claim.
    pub roles: Vec<String>,
    /// One sentence for the login page: what makes this person worth testing with.
    pub about: String,
    /// The colour of the photo and of the login page's initials.
    #[serde(skip)]
    pub(crate) colour: [u8; 3],
    pub(crate) has_photo: bool,
}

impl Person {
    /// Whether the home tenant is another one.
    #[must_use]
    pub fn is_guest(&self) -> bool {
        self.object_id != self.home_object_id
    }

    /// Whether Graph has a photo.
    #[must_use]
    pub fn has_photo(&self) -> bool {
        self.has_photo
    }

    /// The photo's bytes (PNG), as Graph serves them.
    #[must_use]
    pub fn photo(&self) -> Option<Vec<u8>> {
        self.has_photo.then(|| photo::portrait(self.colour))
    }

    /// The `login_hint` claim: opaque, stable, and no address.
    pub(crate) fn login_hint(&self) -> String {
        format!("O.{}", self.object_id.replace('-', ""))
    }

    /// First letters of the names, for the login page.
    pub(crate) fn initials(&self) -> String {
        self.given_name.chars().take(1).chain(self.surname.chars().take(1)).collect()
    }

    pub(crate) fn is(&self, hint: &str) -> bool {
        self.username.eq_ignore_ascii_case(hint)
            || self.user_principal_name.eq_ignore_ascii_case(hint)
            || self.object_id.eq_ignore_ascii_case(hint)
            || self.login_hint() == hint
    }
}

/// The people of the demo tenant; their ids depend on the seed alone.
pub(crate) fn people(seed: u64, tenant_id: &str) -> Vec<Person> {
    let member = |names: (&str, &str), title: &str, about: &str| {
        let mail = format!("{}@contoso.example", names.0.to_lowercase());
        let object_id = seeded_guid(seed, &mail);
        Person {
            display_name: format!("{} {}", names.0, names.1),
            given_name: names.0.into(),
            surname: names.1.into(),
            username: mail.clone(),
            user_principal_name: mail.clone(),
            mail: Some(mail),
            job_title: title.into(),
            home_object_id: object_id.clone(),
            object_id,
            home_tenant_id: tenant_id.into(),
            manager: Some("ben@contoso.example".into()),
            roles: Vec::new(),
            about: about.into(),
            colour: [0x1f, 0x5f, 0x8b],
            has_photo: true,
        }
    };
    let mut ada = member(("Ada", "Marsh"), "Engineer", "Has a manager and a photo");
    ada.roles = vec!["Admin".into()];
    let mut ben = member(("Ben", "Okoye"), "Director", "Has no manager");
    ben.manager = None;
    ben.colour = [0x7a, 0x4a, 0x12];
    let mut cleo = member(("Cleo", "Lind"), "Technician", "Has no photo and no mail address");
    cleo.mail = None;
    cleo.has_photo = false;
    cleo.colour = [0x2f, 0x6b, 0x3a];
    let mut gil = member(("Gil", "Torres"), "Consultant", "A guest from Fabrikam");
    gil.username = "gil@fabrikam.example".into();
    gil.user_principal_name = "gil_fabrikam.example#EXT#@contoso.example".into();
    gil.mail = Some(gil.username.clone());
    gil.home_object_id = seeded_guid(seed, "home of gil");
    gil.home_tenant_id = seeded_guid(seed, "fabrikam");
    gil.manager = Some("ada@contoso.example".into());
    gil.colour = [0x6a, 0x3d, 0x7c];
    vec![ada, ben, cleo, gil]
}

/// `sub`: one per person and client, so that two applications cannot compare notes (OIDC Core 8.1).
pub(crate) fn pairwise_subject(seed: u64, client_id: &str, object_id: &str) -> String {
    seeded_text(seed, &format!("sub {client_id} {object_id}"))
}
