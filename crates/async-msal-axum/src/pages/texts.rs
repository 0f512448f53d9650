//! What each page says: what happened, why, what to do. The texts are ours from the first to the last word; nothing
//! the authority or the browser sent is among them.

use http::StatusCode;

/// The mood of a page: colour and sign. The words carry the meaning, the colour only repeats it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Tone {
    Problem,
    Notice,
    Done,
    Question,
}

impl Tone {
    pub(crate) fn class(self) -> &'static str {
        match self {
            Self::Problem => "problem",
            Self::Notice => "notice",
            Self::Done => "done",
            Self::Question => "question",
        }
    }
}

/// One page's words and status.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PageText {
    pub(crate) status: StatusCode,
    pub(crate) tone: Tone,
    pub(crate) title: &'static str,
    pub(crate) what: &'static str,
    pub(crate) why: &'static str,
    pub(crate) next: &'static str,
}

pub(crate) const SIGN_IN_FAILED: PageText = PageText {
    status: StatusCode::BAD_GATEWAY,
    tone: Tone::Problem,
    title: "Sign-in failed",
    what: "The answer that came back from the sign-in service could not be accepted, so nobody was signed in.",
    why: "The answer was incomplete, damaged, or did not belong to this sign-in. Nothing was stored.",
    next: "Try again. If it keeps failing, give the reference below to whoever runs this application.",
};

pub(crate) const INTERACTION_FAILED: PageText = PageText {
    status: StatusCode::FORBIDDEN,
    tone: Tone::Notice,
    title: "Sign-in was not completed",
    what: "The sign-in service asked for something that was not given, so you are not signed in.",
    why: "A further step may be needed, such as a second factor, or your organisation's rules do not allow this sign-in here.",
    next: "Try again and complete every step. If you are told that access is blocked, ask your administrator.",
};

pub(crate) const CANCELLED: PageText = PageText {
    status: StatusCode::FORBIDDEN,
    tone: Tone::Notice,
    title: "Sign-in was cancelled",
    what: "You left the sign-in before it was finished, or did not agree to share what this application asked for.",
    why: "Without your agreement this application gets no information about you.",
    next: "Sign in again whenever you like, or go back.",
};

pub(crate) const ADMIN_CONSENT: PageText = PageText {
    status: StatusCode::FORBIDDEN,
    tone: Tone::Notice,
    title: "Your administrator must agree first",
    what: "This application asks for permissions that only an administrator of your organisation can grant.",
    why: "Your organisation reserves these permissions, or you have not been assigned to this application.",
    next: "Ask your administrator to approve this application, then sign in again.",
};

pub(crate) const EXPIRED: PageText = PageText {
    status: StatusCode::BAD_REQUEST,
    tone: Tone::Notice,
    title: "This sign-in has expired or was already used",
    what: "The page you came from belongs to a sign-in that is finished, too old, or was started in another browser.",
    why: "A sign-in works once, in the browser that started it, for fifteen minutes. The back button, a reload, or blocked cookies end up here.",
    next: "Start a new sign-in.",
};

pub(crate) const REFUSED: PageText = PageText {
    status: StatusCode::FORBIDDEN,
    tone: Tone::Problem,
    title: "You may not use this application",
    what: "Microsoft confirmed who you are, but this application does not let this account in.",
    why: "The application has rules of its own about who may use it.",
    next: "Sign in with another account, or ask whoever runs this application for access.",
};

pub(crate) const FORBIDDEN: PageText = PageText {
    status: StatusCode::FORBIDDEN,
    tone: Tone::Problem,
    title: "You may not open this page",
    what: "You are signed in, but your account lacks a role or permission that this page needs.",
    why: "",
    next: "Go back, or ask whoever runs this application for access.",
};

pub(crate) const SIGN_IN_NEEDED: PageText = PageText {
    status: StatusCode::UNAUTHORIZED,
    tone: Tone::Notice,
    title: "You are not signed in any more",
    what: "Your session ended before this form was sent, so nothing was changed.",
    why: "Sessions end after a time without use, and when you sign out in another tab.",
    next: "Sign in, then go back to the form and send it again.",
};

pub(crate) const MORE_CONSENT_NEEDED: PageText = PageText {
    status: StatusCode::FORBIDDEN,
    tone: Tone::Notice,
    title: "A permission is still missing",
    what: "You have just signed in for this, but the permission this page needs was not granted.",
    why: "It may need an administrator's approval, or it was declined.",
    next: "Ask your administrator, or go back.",
};

pub(crate) const TOO_MANY_TRIES: PageText = PageText {
    status: StatusCode::TOO_MANY_REQUESTS,
    tone: Tone::Problem,
    title: "Sign-in keeps failing",
    what: "Several sign-ins within a minute did not lead anywhere, so the next one was not started.",
    why: "Cookies may be blocked in this browser, or something is wrong with this application's set-up.",
    next: "Wait a minute, allow cookies for this site, and try again.",
};

pub(crate) const STORE_DOWN: PageText = PageText {
    status: StatusCode::SERVICE_UNAVAILABLE,
    tone: Tone::Problem,
    title: "Please try again in a moment",
    what: "This application cannot reach its session storage right now.",
    why: "You have not been signed out: your session is untouched and works again when the storage is back.",
    next: "Wait a few seconds and try again.",
};

pub(crate) const AUTHORITY_DOWN: PageText = PageText {
    status: StatusCode::SERVICE_UNAVAILABLE,
    tone: Tone::Problem,
    title: "The sign-in service does not answer",
    what: "This application could not reach the sign-in service, or was asked to wait. Nobody was signed in.",
    why: "The service or the network between has a problem; usually it is short.",
    next: "Try again in a moment.",
};

pub(crate) const OPERATOR: PageText = PageText {
    status: StatusCode::INTERNAL_SERVER_ERROR,
    tone: Tone::Problem,
    title: "This application is not set up correctly",
    what: "The sign-in service does not accept this application, so nobody can sign in at the moment.",
    why: "Its registration, its secret or one of its settings is wrong or has expired. You did nothing wrong, and trying again does not help.",
    next: "Tell whoever runs this application, and give the reference below.",
};

pub(crate) const BAD_REQUEST: PageText = PageText {
    status: StatusCode::BAD_REQUEST,
    tone: Tone::Problem,
    title: "This request cannot be understood",
    what: "The address or the form that was sent here is not one that this application makes.",
    why: "",
    next: "Start again from this application's first page.",
};

pub(crate) const WRONG_METHOD: PageText = PageText {
    status: StatusCode::METHOD_NOT_ALLOWED,
    title: "This answer came the wrong way",
    ..BAD_REQUEST
};

pub(crate) const TOO_LARGE: PageText =
    PageText { status: StatusCode::PAYLOAD_TOO_LARGE, title: "This form is too large", ..BAD_REQUEST };

pub(crate) const TOO_SLOW: PageText = PageText {
    status: StatusCode::REQUEST_TIMEOUT,
    title: "This form did not arrive in time",
    ..BAD_REQUEST
};

pub(crate) const WRONG_TYPE: PageText =
    PageText { status: StatusCode::UNSUPPORTED_MEDIA_TYPE, title: "This is not a form", ..BAD_REQUEST };

pub(crate) const TOO_MANY_COOKIES: PageText = PageText {
    status: StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
    tone: Tone::Problem,
    title: "Your browser sends too many cookies",
    what: "The cookies for this site are more than this application reads.",
    why: "",
    next: "Delete the cookies of this site in your browser, then open it again.",
};

pub(crate) const CROSS_ORIGIN: PageText = PageText {
    status: StatusCode::FORBIDDEN,
    tone: Tone::Problem,
    title: "This request came from another site",
    what: "Another site tried to do something here in your name. It was not done.",
    why: "",
    next: "If it was you, do it again from this application's own page.",
};

pub(crate) const CONFIRM_SIGN_OUT: PageText = PageText {
    status: StatusCode::OK,
    tone: Tone::Question,
    title: "Sign out?",
    what: "You followed a link that signs you out of this application and of your Microsoft account in this browser.",
    why: "",
    next: "",
};

pub(crate) const SIGNED_OUT: PageText = PageText {
    status: StatusCode::OK,
    tone: Tone::Done,
    title: "You are signed out",
    what: "Your session in this application has ended. On a shared computer, close all windows of the browser too.",
    why: "",
    next: "",
};

pub(crate) const SIGNED_OUT_HERE: PageText = PageText {
    status: StatusCode::ACCEPTED,
    tone: Tone::Done,
    title: "You are signed out in this browser",
    what: "This browser has forgotten the session. Other copies of this session end when the storage is back; you need not wait for it.",
    why: "This application cannot reach its session storage right now.",
    next: "On a shared computer, sign out of your account too, and close all windows of the browser.",
};

pub(crate) const SERVICE_DOWN: PageText = PageText {
    status: StatusCode::SERVICE_UNAVAILABLE,
    tone: Tone::Problem,
    title: "Please try again in a moment",
    what: "A service that this page needs does not answer, or asked to wait. You are still signed in.",
    why: "",
    next: "Wait a moment and try again.",
};

pub(crate) const BAD_ANSWER: PageText = PageText {
    status: StatusCode::BAD_GATEWAY,
    tone: Tone::Problem,
    title: "This page could not be made",
    what: "A service that this page needs gave an answer that could not be used.",
    why: "",
    next: "Try again. If it keeps failing, tell whoever runs this application.",
};

pub(crate) const LAYER_MISSING: PageText = PageText {
    status: StatusCode::INTERNAL_SERVER_ERROR,
    title: "async-msal: this route is not below MsalLayer; put `.layer(auth)` after it",
    ..OPERATOR
};
