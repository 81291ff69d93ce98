//! Commands: what encoders ask, and what they get.

use super::connect::{self, ConnectInfo};
use super::media::MediaReader;
use super::status::Refusal;
use super::{Event, PublishCommand, STREAMS_MAX, Session, Stage, without_amf3_byte};
use crate::ingest::rtmp::amf0::{self, Value};
use crate::ingest::rtmp::chunk::Message;
use crate::ingest::rtmp::error::{Fault, WireError};

/// What `connect` is told the server is. Encoders of old look for the shape, none for the number.
const FMS_VERSION: &str = "FMS/3,5,7,7009";
/// Enhanced RTMP codecs taken.
const FOURCC_LIST: [&str; 2] = ["avc1", "mp4a"];

/// One command message.
struct Command {
    name: String,
    transaction: f64,
    /// Message stream it came on.
    stream: u32,
    /// What follows the transaction id; the first is the command object, mostly null.
    arguments: Vec<Value>,
}

impl Command {
    fn argument_text(&self, index: usize) -> &str {
        let value = self.arguments.get(index);
        value.and_then(Value::as_str).unwrap_or_default()
    }
}

impl Session {
    pub(super) fn take_command(&mut self, message: &Message) -> Result<Option<Event>, WireError> {
        let command = self.parse(message)?;
        if self.connect.is_none() && command.name != "connect" {
            let refusal = Refusal::NotConnected(command.name);
            self.refuse_command(command.transaction, command.stream, &refusal);
            return Ok(Some(Event::Refused(refusal)));
        }
        match command.name.as_str() {
            "connect" => Ok(self.connect(&command)),
            "createStream" => self.create_stream(&command).map(|()| None),
            "publish" => Ok(self.publish(&command)),
            "FCUnpublish" | "closeStream" | "deleteStream" => Ok(self.unpublish(&command)),
            "releaseStream" | "FCPublish" | "_checkbw" => {
                self.result(command.transaction, Value::Null, Value::Undefined);
                Ok(None)
            }
            "play" | "play2" => Ok(Some(self.play(&command))),
            _ => {
                // Without a transaction id nobody waits for an answer (7.2).
                if command.transaction != 0.0 {
                    let description = format!("command {:?} is not known", clip(&command.name));
                    self.error(
                        command.transaction,
                        "NetConnection.Call.Failed",
                        &description,
                    );
                }
                Ok(None)
            }
        }
    }

    fn parse(&self, message: &Message) -> Result<Command, WireError> {
        let values = amf0::decode_all(without_amf3_byte(message));
        let mut values = values
            .map_err(|error| self.reader.error(error))?
            .into_iter();
        let Some(Value::String(name)) = values.next() else {
            return Err(self.reader.error(Fault::NoCommandName));
        };
        Ok(Command {
            name,
            transaction: values
                .next()
                .and_then(|value| value.as_number())
                .unwrap_or(0.0),
            stream: message.stream,
            arguments: values.collect(),
        })
    }

    fn connect(&mut self, command: &Command) -> Option<Event> {
        if self.connect.is_some() {
            let code = "NetConnection.Connect.Rejected";
            self.error(command.transaction, code, "already connected");
            return None;
        }
        let object = command.arguments.first().unwrap_or(&Value::Null);
        let Some(info) = ConnectInfo::read(object) else {
            self.refuse_command(command.transaction, 0, &Refusal::NoApp);
            return Some(Event::Refused(Refusal::NoApp));
        };
        self.outbox.window_ack_size(self.options.ack_window_bytes);
        self.outbox.peer_bandwidth(self.options.ack_window_bytes);
        self.outbox.chunk_size(self.options.chunk_bytes);
        let mut answer = vec![
            ("level".to_owned(), Value::string("status")),
            (
                "code".to_owned(),
                Value::string("NetConnection.Connect.Success"),
            ),
            (
                "description".to_owned(),
                Value::string("Connection succeeded."),
            ),
            ("objectEncoding".to_owned(), Value::Number(0.0)),
        ];
        if info.enhanced {
            let codecs = FOURCC_LIST.map(Value::string).to_vec();
            answer.push(("fourCcList".to_owned(), Value::StrictArray(codecs)));
            answer.push(("capsEx".to_owned(), Value::Number(0.0)));
        }
        let properties = Value::object([
            ("fmsVer", Value::string(FMS_VERSION)),
            ("capabilities", Value::Number(31.0)),
        ]);
        self.result(command.transaction, properties, Value::Object(answer));
        self.connect = Some(info);
        Some(Event::Connected)
    }

    fn create_stream(&mut self, command: &Command) -> Result<(), WireError> {
        if self.streams >= STREAMS_MAX {
            return Err(self
                .reader
                .error(Fault::StreamsTooMany { max: STREAMS_MAX }));
        }
        self.streams += 1;
        let id = Value::Number(f64::from(self.streams));
        self.result(command.transaction, Value::Null, id);
        Ok(())
    }

    /// `publish(null, name, kind)`; the kind (live, record, append) makes no difference here.
    fn publish(&mut self, command: &Command) -> Option<Event> {
        if self.stage == Stage::Publishing {
            let description = "this connection publishes already; one stream a connection";
            self.on_status(
                command.stream,
                "error",
                super::status::BAD_NAME,
                description,
            );
            return None;
        }
        let info = self.connect.as_ref()?;
        let (name, query) = connect::stream_name(command.argument_text(1));
        let query = if query.is_empty() { &info.query } else { query };
        let request = PublishCommand {
            app: info.app.clone(),
            stream: name.to_owned(),
            query: query.to_owned(),
        };
        self.stage = Stage::Asking;
        self.publish_stream = command.stream;
        self.publish_name = name.to_owned();
        self.media = MediaReader::new(self.options.bad_tags_max);
        Some(Event::PublishRequested(request))
    }

    /// `FCUnpublish(null, name)`, `closeStream()` on the stream, `deleteStream(null, id)`. One that
    /// is meant for another stream, or comes after another one, changes nothing.
    fn unpublish(&mut self, command: &Command) -> Option<Event> {
        if self.stage != Stage::Publishing {
            return None;
        }
        let (meant, by) = match command.name.as_str() {
            "FCUnpublish" => {
                let (name, _) = connect::stream_name(command.argument_text(1));
                (name == self.publish_name, "FCUnpublish")
            }
            "closeStream" => (command.stream == self.publish_stream, "closeStream"),
            _ => {
                let id = command.arguments.get(1).and_then(Value::as_number);
                (id == Some(f64::from(self.publish_stream)), "deleteStream")
            }
        };
        if !meant {
            return None;
        }
        self.stage = Stage::Idle;
        let description = format!("{} is now unpublished.", self.publish_name);
        let code = "NetStream.Unpublish.Success";
        self.on_status(self.publish_stream, "status", code, &description);
        Some(Event::Unpublished(by))
    }

    fn play(&mut self, command: &Command) -> Event {
        let app = self.connect.as_ref().map(|info| info.app.clone());
        let (stream, _) = connect::stream_name(command.argument_text(1));
        let refusal = Refusal::Play {
            app: app.unwrap_or_default(),
            stream: clip(stream).to_owned(),
        };
        self.refuse_command(command.transaction, command.stream, &refusal);
        Event::Refused(refusal)
    }
}

/// At most 128 bytes of a name for an answer.
fn clip(name: &str) -> &str {
    let end = name.floor_char_boundary(128);
    name.get(..end).unwrap_or(name)
}
