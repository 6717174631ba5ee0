//! A server that keeps everything in memory and cuts connections as it is told.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use crs_client::net::crypto_provider;
use crs_client::{Identity, ServerTrust};
use crs_keys::account_ca::{AccountCa, Validity};
use crs_keys::envelope::{Route, seal};
use crs_keys::identity::UserIdentity;
use crs_keys::package::UserKeys;
use crs_keys::pool_ca::{NodeSubject, PoolCa};
use crs_keys::trust::Trust;
use crs_proto::codec::{self, Event, Op};
use crs_proto::wire::call::{CallState, Invite, SessionState};
use crs_proto::wire::life::{
    Attached, DeniedReason, Limits, Role, Unregistered, UnregisteredReason, Welcome,
};
use crs_proto::wire::lookup::{Found, PublicKeys};
use crs_proto::wire::message::{Acked, Content, Fetched, Item, New, Post, Posted};
use crs_proto::wire::{Bytes64, ErrorBody, ErrorCode};
use crs_types::limits::FRAME_MAX;
use crs_types::{
    AccountId, Clock, DeviceId, Generation, MessageId, OsRng, Period, SystemClock, Uri,
};
use futures_util::{SinkExt, StreamExt};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{broadcast, watch};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::http::HeaderValue;

type Socket = WebSocketStream<TlsStream<TcpStream>>;

/// What goes wrong with the nth post, fetch or ack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The connection is cut before the request is carried out.
    Before,
    /// It is carried out, and the connection is cut before the reply.
    After,
    /// It is answered with `unavailable`.
    Unavailable,
    /// It is answered with `denied`, as a blocked user's `attach` is.
    Denied,
    /// It is carried out, and the reply is longer than any frame may be.
    TooLong,
    /// It is not carried out and never answered.
    Silent,
    /// It is answered with `denied`, as by a node that drains.
    Draining,
    /// It is carried out, and the registration is ended behind it.
    Ended(UnregisteredReason),
}

/// The server.
pub(crate) struct Server {
    pub(crate) address: String,
    pub(crate) state: Arc<State>,
    users: Vec<(UserKeys, Trust)>,
    /// Users of the connected account `rival` that have the same numbers.
    pub(crate) rivals: Vec<UserKeys>,
    server_trust: ServerTrust,
    _task: tokio::task::JoinSet<()>,
}

/// Keys that lookups are answered with in place of the right ones.
#[derive(Debug, Clone)]
pub(crate) struct Lie(pub(crate) UserKeys);

pub(crate) struct State {
    users: Vec<UserKeys>,
    mailboxes: Mutex<BTreeMap<Uri, Vec<Content>>>,
    ids: Mutex<BTreeMap<MessageId, Vec<u8>>>,
    /// Posts in the order in which they were confirmed.
    pub(crate) confirmed: Mutex<Vec<MessageId>>,
    /// What rings at whoever attaches.
    pub(crate) ringing: Mutex<Vec<CallState>>,
    faults: Mutex<BTreeMap<(&'static str, u64), Fault>>,
    counts: Mutex<BTreeMap<&'static str, u64>>,
    /// A user whom every lookup is answered with, and to whom every post goes.
    impostor: Mutex<Option<Uri>>,
    pub(crate) lie: Mutex<Option<Lie>>,
    /// What was asked about calls.
    pub(crate) calls: Mutex<Vec<Op>>,
    news: watch::Sender<u64>,
    rings: broadcast::Sender<CallState>,
}

impl Server {
    /// Starts with `count` users and the given faults: (op, nth of it, what).
    pub(crate) async fn start(count: usize, faults: &[(&'static str, u64, Fault)]) -> Self {
        let now = SystemClock::new().now();
        let account = AccountId::parse("acme").unwrap();
        let ca = AccountCa::generate(account.clone(), &mut OsRng, now).unwrap();
        let mut trust = Trust::initial(account.clone(), vec![ca.certificate().clone()]);
        let users: Vec<UserKeys> = (0..count).map(|n| issue(&ca, &account, n)).collect();
        let rival = AccountId::parse("rival").unwrap();
        let rival_ca = AccountCa::generate(rival.clone(), &mut OsRng, now).unwrap();
        trust.connected.insert(rival.clone(), vec![rival_ca.certificate().clone()]);
        let rivals = (0..count).map(|n| issue(&rival_ca, &rival, n)).collect();
        let pool = PoolCa::generate(&mut OsRng, now).unwrap();
        let subject = NodeSubject {
            name: crs_types::NodeName::parse("test").unwrap(),
            dns: vec!["localhost".to_owned()],
            ips: vec![std::net::Ipv4Addr::LOCALHOST.into()],
        };
        let node = pool.issue_node(&subject, &mut OsRng, now).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(ca.certificate().clone()).unwrap();
        let provider = crypto_provider();
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone());
        let config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_client_cert_verifier(verifier.build().unwrap())
            .with_single_cert(node.chain, node.key)
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let state = Arc::new(State {
            users: users.clone(),
            mailboxes: Mutex::default(),
            ids: Mutex::default(),
            confirmed: Mutex::default(),
            ringing: Mutex::default(),
            faults: Mutex::new(faults.iter().map(|(op, n, f)| ((*op, *n), *f)).collect()),
            counts: Mutex::default(),
            impostor: Mutex::default(),
            lie: Mutex::default(),
            calls: Mutex::default(),
            news: watch::Sender::new(0),
            rings: broadcast::Sender::new(16),
        });
        let mut task = tokio::task::JoinSet::new();
        task.spawn(accept(listener, TlsAcceptor::from(Arc::new(config)), state.clone()));
        let users = users.into_iter().map(|keys| (keys, trust.clone())).collect();
        let server_trust = ServerTrust::PoolCa(vec![pool.certificate().to_vec()]);
        Self { address, state, users, rivals, server_trust, _task: task }
    }

    /// From now on the server lies: whoever is meant, it is this user.
    pub(crate) fn redirect_to(&self, n: usize) {
        *self.state.impostor.lock().unwrap() = Some(self.identity(n).uri);
    }

    /// Announces a call to everybody who is connected.
    pub(crate) fn ring(&self, state: CallState) {
        self.state.rings.send(state).unwrap();
    }

    /// The keys of the nth user.
    pub(crate) fn keys(&self, n: usize) -> &UserKeys {
        &self.users[n].0
    }

    /// Puts a message of this sender into the mailbox of the nth user.
    pub(crate) fn deliver_as(&self, sender: &UserKeys, n: usize, text: &str) {
        let (to, trust) = &self.users[n];
        let now = SystemClock::new().now();
        let mid = MessageId::from_parts(now, crs_types::Rng::bytes::<10>(&mut OsRng));
        let route = Route {
            from_account: sender.identity.account.clone(),
            from: sender.identity.uri.clone(),
            to_account: to.identity.account.clone(),
            to: to.identity.uri.clone(),
            mid,
        };
        let receiver = crs_keys::kem_cert::verify(&to.kem_cert, &trust.cas, now).unwrap();
        let body = seal(text.as_bytes(), &route, sender, &receiver, &mut OsRng).unwrap();
        let to = to.identity.uri.clone();
        let post = Post { mid, to, body: Bytes64(body), expires_ms: None };
        self.state.deliver(&sender.identity, post);
    }

    /// The nth user.
    pub(crate) fn identity(&self, n: usize) -> Identity {
        let (keys, trust) = &self.users[n];
        let device = DeviceId::parse("test").unwrap();
        let servers = vec![self.address.clone()];
        Identity::from_keys(keys, trust, servers, self.server_trust.clone(), device)
    }

    /// Messages that wait for anybody.
    pub(crate) fn waiting(&self) -> usize {
        self.state.mailboxes.lock().unwrap().values().map(Vec::len).sum()
    }

    /// Faults that have not happened.
    pub(crate) fn faults_left(&self) -> usize {
        self.state.faults.lock().unwrap().len()
    }
}

async fn accept(listener: TcpListener, acceptor: TlsAcceptor, state: Arc<State>) {
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((tcp, _)) = listener.accept().await {
        connections.spawn(serve(tcp, acceptor.clone(), state.clone()));
    }
}

async fn serve(tcp: TcpStream, acceptor: TlsAcceptor, state: Arc<State>) -> Option<()> {
    let tls = acceptor.accept(tcp).await.ok()?;
    let certificate = tls.get_ref().1.peer_certificates()?.first()?.clone();
    let user = state.users.iter().find(|user| user.sign_cert == certificate)?;
    let uri = user.identity.uri.clone();
    let mut socket = tokio_tungstenite::accept_hdr_async(tls, protocol).await.ok()?;
    let mut seq = 1;
    let mut broken = None;
    let welcome = Event::Welcome(Box::new(welcome(user)));
    socket.send(Message::text(codec::encode_event(seq, &welcome))).await.ok()?;
    let mut news = state.news.subscribe();
    let mut rings = state.rings.subscribe();
    loop {
        tokio::select! {
            frame = socket.next() => match frame?.ok()? {
                Message::Text(text) => request(&mut socket, &state, &uri, &text, &mut broken).await?,
                Message::Close(_) => return None,
                Message::Binary(_) | Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => {}
            },
            changed = news.changed() => {
                changed.ok()?;
                seq += 1;
                let event = Event::MessageNew(New { newest: *news.borrow() });
                socket.send(Message::text(codec::encode_event(seq, &event))).await.ok()?;
            }
            call = rings.recv() => {
                seq += 1;
                let event = Event::CallState(Box::new(call.ok()?));
                socket.send(Message::text(codec::encode_event(seq, &event))).await.ok()?;
            }
        }
    }
}

/// `None` cuts the connection.
async fn request(
    socket: &mut Socket,
    state: &State,
    uri: &Uri,
    text: &str,
    broken: &mut Option<MessageId>,
) -> Option<()> {
    let request = codec::parse_request(text).expect("the client's frames are well-formed");
    let name = request.op.name().as_str();
    let post = if let Op::Post(post) = &request.op { Some(post.mid) } else { None };
    // After a failed post, later ones fail until that one has been repeated.
    if let (Some(mid), Some(failed)) = (post, *broken)
        && mid != failed
    {
        let (code, text) = (ErrorCode::OrderBroken, "repeat the failed one".to_owned());
        let body = ErrorBody { code, text, retry_ms: None, reason: None };
        return socket.send(Message::text(codec::encode_error(Some(request.id), &body))).await.ok();
    }
    let fault = state.fault(name);
    if post.is_some() {
        *broken = post.filter(|_| fault == Some(Fault::Unavailable));
    }
    match fault {
        Some(Fault::Before) => return None,
        Some(Fault::Silent) => return Some(()),
        Some(
            Fault::After
            | Fault::Unavailable
            | Fault::Denied
            | Fault::Draining
            | Fault::TooLong
            | Fault::Ended(_),
        )
        | None => {}
    }
    let reply = if fault == Some(Fault::Unavailable) {
        let (code, text) = (ErrorCode::Unavailable, "told to".to_owned());
        let body = ErrorBody { code, text, retry_ms: Some(20), reason: None };
        codec::encode_error(Some(request.id), &body)
    } else if fault == Some(Fault::Denied) {
        let body = ErrorBody::denied(DeniedReason::Blacklisted, "the user is blocked");
        codec::encode_error(Some(request.id), &body)
    } else if fault == Some(Fault::Draining) {
        let body = ErrorBody::denied(DeniedReason::NodeDrain, "this node goes out of service");
        codec::encode_error(Some(request.id), &body)
    } else {
        state.carry_out(request, uri)
    };
    if fault == Some(Fault::After) {
        return None;
    }
    let padding = if fault == Some(Fault::TooLong) { 2 * FRAME_MAX } else { 0 };
    socket.send(Message::text(reply + &" ".repeat(padding))).await.ok()?;
    if let Some(Fault::Ended(reason)) = fault {
        let event = Event::Unregistered(Unregistered { reason });
        socket.send(Message::text(codec::encode_event(2, &event))).await.ok()?;
    }
    Some(())
}

impl State {
    fn fault(&self, op: &'static str) -> Option<Fault> {
        let mut counts = self.counts.lock().unwrap();
        let count = counts.entry(op).or_default();
        *count += 1;
        self.faults.lock().unwrap().remove(&(op, *count))
    }

    fn carry_out(&self, request: codec::Request, uri: &Uri) -> String {
        let id = request.id;
        match request.op {
            Op::Attach(_) => {
                let attached = Attached {
                    state: "attached".to_owned(),
                    connection: 1,
                    role: Role::Primary,
                    waiting: 0,
                    sessions: self.ringing.lock().unwrap().clone(),
                    updates: Vec::new(),
                };
                codec::encode_ok(id, &attached)
            }
            Op::Lookup(lookup) => match self.found(&self.meant(&lookup.uri)) {
                Some(found) => codec::encode_ok(id, &found),
                None => {
                    let (code, text) = (ErrorCode::NotFound, "nobody".to_owned());
                    let body = ErrorBody { code, text, retry_ms: None, reason: None };
                    codec::encode_error(Some(id), &body)
                }
            },
            Op::Post(post) => codec::encode_ok(id, &self.posted(uri, post)),
            Op::Fetch(fetch) => {
                let mailboxes = self.mailboxes.lock().unwrap();
                let all = mailboxes.get(uri).map(Vec::as_slice).unwrap_or_default();
                let newer: Vec<_> = all.iter().filter(|c| c.n > fetch.after).collect();
                let items: Vec<_> =
                    newer.iter().take(4).map(|c| Item::Content((*c).clone())).collect();
                let more = newer.len() > items.len();
                codec::encode_ok(id, &Fetched { items, more })
            }
            Op::Ack(ack) => {
                let mut mailboxes = self.mailboxes.lock().unwrap();
                let all = mailboxes.entry(uri.clone()).or_default();
                let before = all.len();
                all.retain(|content| !ack.n.contains(&content.n));
                codec::encode_ok(id, &Acked { removed: (before - all.len()) as u64 })
            }
            call @ (Op::Ringing(_) | Op::Hangup(_)) => {
                self.calls.lock().unwrap().push(call);
                codec::encode_error(Some(id), &ErrorBody::new(ErrorCode::Gone, "it is recorded"))
            }
            Op::Invite(invite) => {
                let state = self.invited(uri, &invite);
                self.calls.lock().unwrap().push(Op::Invite(invite));
                codec::encode_ok(id, &state)
            }
            Op::Bye(_)
            | Op::Detach(_)
            | Op::Time(_)
            | Op::Answer(_)
            | Op::Alloc(_)
            | Op::Refresh(_)
            | Op::Free(_)
            | Op::UpdateGet(_)
            | Op::UpdateConfirm(_) => {
                let (code, text) = (ErrorCode::UnknownOp, "not here".to_owned());
                let body = ErrorBody { code, text, retry_ms: None, reason: None };
                codec::encode_error(Some(id), &body)
            }
        }
    }

    fn posted(&self, from: &Uri, post: Post) -> Posted {
        let mid = post.mid;
        let mut ids = self.ids.lock().unwrap();
        let known = ids.get(&mid).cloned();
        if let Some(known) = &known {
            assert_eq!(*known, post.body.0, "the same id with another body");
        } else {
            ids.insert(mid, post.body.0.clone());
            let sender = self.users.iter().find(|user| user.identity.uri == *from);
            self.deliver(&sender.unwrap().identity, post);
        }
        Posted { mid, copies: 1, duplicate: known.is_some() }
    }

    fn invited(&self, from: &Uri, invite: &Invite) -> CallState {
        CallState {
            session: invite.session,
            state: SessionState::Invite,
            from: from.clone(),
            from_account: self.users[0].identity.account.clone(),
            to: invite.to.clone(),
            offer: None,
            answer: None,
            device: None,
            media: invite.media,
            reason: None,
            who: None,
            detail: None,
            stage: None,
        }
    }

    fn meant(&self, uri: &Uri) -> Uri {
        self.impostor.lock().unwrap().clone().unwrap_or_else(|| uri.clone())
    }

    fn deliver(&self, from: &UserIdentity, post: Post) {
        self.confirmed.lock().unwrap().push(post.mid);
        let n = self.ids_so_far();
        let content = Content {
            n,
            mid: post.mid,
            from: from.uri.clone(),
            account: from.account.clone(),
            time: SystemClock::new().now(),
            body: post.body,
        };
        self.mailboxes.lock().unwrap().entry(self.meant(&post.to)).or_default().push(content);
        self.news.send_replace(n);
    }

    fn ids_so_far(&self) -> u64 {
        self.confirmed.lock().unwrap().len() as u64
    }

    fn found(&self, uri: &Uri) -> Option<Found> {
        let lie = self.lie.lock().unwrap().clone().map(|lie| lie.0);
        let known = || self.users.iter().find(|user| user.identity.uri == *uri).cloned();
        let user = lie.or_else(known)?;
        let keys = PublicKeys {
            period: user.identity.period,
            generation: user.identity.generation,
            sign_cert: Bytes64(user.sign_cert.to_vec()),
            kem_cert: Bytes64(user.kem_cert.clone()),
        };
        let account = user.identity.account.clone();
        Some(Found { uri: uri.clone(), account, attached: true, keys: vec![keys] })
    }
}

/// Keys of the nth user of an account; the authority need not be that account's.
pub(crate) fn issue(ca: &AccountCa, account: &AccountId, n: usize) -> UserKeys {
    let period = Period::at(SystemClock::new().now());
    let uri = Uri::parse(&format!("+4670000000{n}")).unwrap();
    let (account, generation) = (account.clone(), Generation(1));
    let identity = UserIdentity { account, uri, period, generation };
    UserKeys::issue(ca, identity, Validity::of_period(period), &mut OsRng).unwrap()
}

fn welcome(user: &UserKeys) -> Welcome {
    Welcome {
        protocol: "crs.v1".to_owned(),
        server: "test".to_owned(),
        node: "test".to_owned(),
        features: Vec::new(),
        limits: Limits {
            frame: 98_304,
            body: 65_536,
            offer: 16_384,
            in_flight: 32,
            keep_alive_ms: 60_000,
            resume_ms: 30_000,
        },
        time: SystemClock::new().now(),
        account: user.identity.account.clone(),
        uri: user.identity.uri.clone(),
        update_only: false,
    }
}

#[allow(clippy::result_large_err, reason = "the signature of the WebSocket library's callback")]
fn protocol(_: &Request, mut response: Response) -> Result<Response, ErrorResponse> {
    let name = HeaderValue::from_static("crs.v1");
    response.headers_mut().insert("Sec-WebSocket-Protocol", name);
    Ok(response)
}

/// Every op that carries messages, for tests that cut at each of them.
pub(crate) fn message_ops() -> BTreeSet<&'static str> {
    BTreeSet::from(["msg.post", "msg.fetch", "msg.ack"])
}
