//! A real encoder: `ffmpeg` publishing a test pattern over RTMP.

use super::wait_within;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// A running `ffmpeg`. Dropping it kills it.
pub struct Encoder {
    child: Child,
}

/// What to publish.
#[derive(Clone, Debug)]
pub struct Pattern {
    /// Picture, as `WxH`; `None` = no video.
    pub size: Option<&'static str>,
    /// Frames a second.
    pub rate: u32,
    /// Frames from key frame to key frame.
    pub gop: u32,
    /// B-frames between references.
    pub b_frames: u32,
    /// Whether there is a tone.
    pub audio: bool,
    /// Seconds to publish; `None` = until killed.
    pub seconds: Option<u32>,
    /// Pace of wall time, or as fast as it goes.
    pub real_time: bool,
    /// Video bits a second.
    pub kbps: u32,
}

impl Default for Pattern {
    fn default() -> Self {
        Self {
            size: Some("320x180"),
            rate: 30,
            gop: 30,
            b_frames: 0,
            audio: true,
            seconds: None,
            real_time: true,
            kbps: 400,
        }
    }
}

impl Encoder {
    /// Publishes `pattern` to `url`.
    pub fn publish(url: &str, pattern: &Pattern) -> Self {
        let mut command = Command::new("ffmpeg");
        command.args(["-hide_banner", "-loglevel", "error", "-nostdin"]);
        for input in pattern.inputs() {
            if pattern.real_time {
                command.arg("-re");
            }
            command.args(["-f", "lavfi", "-i", &input]);
        }
        command.args(pattern.codecs());
        if let Some(seconds) = pattern.seconds {
            command.args(["-t", &seconds.to_string()]);
        }
        command.args(["-f", "flv", url]);
        Self::spawn(command)
    }

    fn spawn(mut command: Command) -> Self {
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("ffmpeg starts");
        Self { child }
    }

    /// Cuts the connection without a goodbye.
    pub fn kill(mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Stops its work without closing its socket.
    pub fn freeze(&self) {
        let _ = Command::new("kill")
            .args(["-s", "STOP", &self.child.id().to_string()])
            .status();
    }

    /// Ends it as a person would (`q`, Ctrl-C): it unpublishes and says goodbye.
    pub fn stop(mut self) -> ExitStatus {
        let _ = Command::new("kill")
            .args(["-s", "INT", &self.child.id().to_string()])
            .status();
        self.wait(Duration::from_secs(30))
    }

    /// Waits until it ends by itself.
    pub fn wait(&mut self, limit: Duration) -> ExitStatus {
        let child = &mut self.child;
        wait_within(limit, "ffmpeg ends", || child.try_wait().unwrap())
    }
}

impl Drop for Encoder {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// How long an encoder that lost its connection waits before it tries again.
const RECONNECT: Duration = Duration::from_millis(500);

/// An encoder as those in the field are: when its connection goes, it connects again. Dropping it
/// ends it.
pub struct StubbornEncoder {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl StubbornEncoder {
    /// Publishes `pattern` to `url`, again and again.
    pub fn publish(url: &str, pattern: &Pattern) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (url, pattern, told) = (url.to_owned(), pattern.clone(), Arc::clone(&stop));
        #[expect(
            clippy::disallowed_methods,
            reason = "a thread of its own, which waits as encoders do"
        )]
        let thread = std::thread::spawn(move || {
            while !told.load(Ordering::Relaxed) {
                let mut encoder = Encoder::publish(&url, &pattern);
                while encoder.child.try_wait().is_ok_and(|ended| ended.is_none()) {
                    if told.load(Ordering::Relaxed) {
                        return;
                    }
                    std::thread::sleep(Duration::from_millis(50));
                }
                std::thread::sleep(RECONNECT);
            }
        });
        Self {
            stop,
            thread: Some(thread),
        }
    }
}

impl Drop for StubbornEncoder {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Pattern {
    fn inputs(&self) -> Vec<String> {
        let mut all = Vec::new();
        if let Some(size) = self.size {
            all.push(format!("testsrc2=size={size}:rate={}", self.rate));
        }
        if self.audio {
            all.push("sine=frequency=440:sample_rate=48000".to_owned());
        }
        all
    }

    fn codecs(&self) -> Vec<String> {
        let mut all = Vec::new();
        let mut add = |words: &str| all.extend(words.split(' ').map(str::to_owned));
        if self.size.is_some() {
            let gop = self.gop;
            add("-c:v libx264 -preset ultrafast -pix_fmt yuv420p -sc_threshold 0");
            add(&format!(
                "-g {gop} -keyint_min {gop} -bf {} -b:v {}k",
                self.b_frames, self.kbps
            ));
        }
        if self.audio {
            add("-c:a aac -b:a 64k -ac 2");
        }
        all
    }
}
