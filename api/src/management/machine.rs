//! `/rest/v2/system-resources` and its parts: figures of this process and machine under Ant Media's names.
//!
//! Ant Media's are a Java process's. Here `jvmMemoryUsage` is the process's resident memory, and at most what the
//! machine has; its "native" part is the same memory, since there is no other. Bytes, percent, ms as the names say.
//! What cannot be read is 0. Viewers and query time are those of the node's last heartbeat; what Ant Media counts of
//! its encoders, of WebRTC publishers and of its Vert.x workers is 0, for there are none. Read from the system at most once in [`AGE_MAX`], whoever asks.

use crate::error::ApiError;
use crate::management::server::{Licence, ServerTiming};
use crate::openapi::Refusals;
use crate::state::Shared;
use crate::wire::VersionJson;
use axum::Json;
use axum::extract::State;
use serde::Serialize;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use sysinfo::{
    CpuRefreshKind, MemoryRefreshKind, Pid, ProcessRefreshKind, ProcessesToUpdate, System,
};
use tokio::time::Instant;
use utoipa::ToSchema;
use weir_cluster::Viewers;

/// How old figures may be.
const AGE_MAX: Duration = Duration::from_secs(1);

/// The processor.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
pub(crate) struct CpuUsage {
    /// Microseconds of processor time that the process has used.
    #[serde(rename = "processCPUTime")]
    process_cpu_time: u64,
    /// Percent of all cores.
    #[serde(rename = "systemCPULoad")]
    system_cpu_load: u32,
    /// Percent of all cores.
    #[serde(rename = "processCPULoad")]
    process_cpu_load: u32,
    #[serde(rename = "systemLoadAverageLastMinute")]
    load_average: f64,
}

/// The process's memory, bytes.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct JvmMemoryUsage {
    max_memory: u64,
    total_memory: u64,
    free_memory: u64,
    in_use_memory: u64,
}

/// The process's memory once more, bytes.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct JvmNativeMemoryUsage {
    in_use_memory: u64,
    max_memory: u64,
}

/// What the machine is.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SystemInfo {
    os_name: String,
    os_arch: String,
    /// There is no Java in it: what it is instead.
    java_version: String,
    processor_count: usize,
}

/// The machine's memory, bytes.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SystemMemoryInfo {
    virtual_memory: u64,
    total_memory: u64,
    free_memory: u64,
    in_use_memory: u64,
    total_swap_space: u64,
    free_swap_space: u64,
    in_use_swap_space: u64,
    available_memory: u64,
}

/// The file system of `data.dir`, bytes.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct FileSystemInfo {
    usable_space: u64,
    total_space: u64,
    free_space: u64,
    in_use_space: u64,
}

/// All of it.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SystemResources {
    instance_id: String,
    cpu_usage: CpuUsage,
    jvm_memory_usage: JvmMemoryUsage,
    system_info: SystemInfo,
    system_memory_info: SystemMemoryInfo,
    file_system_info: FileSystemInfo,
    jvm_native_memory_usage: JvmNativeMemoryUsage,
    software_version: VersionJson,
    /// No GPU is used by this version.
    gpu_usage_info: Vec<GpuUsage>,
    ffmpeg_build_info: String,
    db_average_query_time_ms: u32,
    #[serde(rename = "localWebRTCLiveStreams")]
    local_webrtc_live_streams: u32,
    local_live_streams: usize,
    #[serde(rename = "localWebRTCViewers")]
    local_webrtc_viewers: u32,
    #[serde(rename = "localHLSViewers")]
    local_hls_viewers: u32,
    #[serde(rename = "localDASHViewers")]
    local_dash_viewers: u32,
    #[serde(rename = "encoders-blocked")]
    encoders_blocked: u32,
    #[serde(rename = "encoders-not-opened")]
    encoders_not_opened: u32,
    #[serde(rename = "publish-timeout-errors")]
    publish_timeout_errors: u32,
    #[serde(rename = "vertx-worker-thread-queue-size")]
    worker_queue_size: u32,
    #[serde(rename = "webrtc-vertx-worker-thread-queue-size")]
    webrtc_worker_queue_size: u32,
    #[serde(rename = "server-timing")]
    server_timing: ServerTiming,
    total_live_stream_size: usize,
    license: Licence,
}

/// A GPU; none is told in this version.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct GpuUsage {
    index: u32,
    device_name: String,
}

/// What the panel's front page reads of the machine.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SystemStatus {
    os_status: SystemInfo,
    cpu_status: CpuUsage,
}

/// Reads the machine's figures.
#[derive(Debug)]
pub(crate) struct Machine(Mutex<Reader>);

#[derive(Debug)]
struct Reader {
    system: Option<System>,
    pid: Option<Pid>,
    last: Option<(Instant, Figures)>,
}

#[derive(Clone, Debug, Default)]
struct Figures {
    cpu: CpuUsage,
    jvm: JvmMemoryUsage,
    memory: SystemMemoryInfo,
    info: SystemInfo,
}

impl Machine {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(Reader {
            system: System::new().ok(),
            pid: sysinfo::get_current_pid().ok(),
            last: None,
        }))
    }

    fn figures(&self) -> Figures {
        let mut reader = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, figures)) = &reader.last
            && at.elapsed() < AGE_MAX
        {
            return figures.clone();
        }
        let figures = reader.read().unwrap_or_default();
        reader.last = Some((Instant::now(), figures.clone()));
        figures
    }
}

impl Reader {
    fn read(&mut self) -> Option<Figures> {
        let (system, pid) = (self.system.as_mut()?, self.pid?);
        system.refresh_cpu_specifics(CpuRefreshKind::nothing().with_usage());
        system.refresh_memory_specifics(MemoryRefreshKind::everything());
        let kind = ProcessRefreshKind::nothing().with_cpu().with_memory();
        system.refresh_processes_specifics(ProcessesToUpdate::Some(&[pid]), true, kind);
        let (cores, process) = (system.cpus().len().max(1), system.process(pid));
        let resident = process.map_or(0, sysinfo::Process::memory);
        let core_share = process.map_or(0.0, sysinfo::Process::cpu_usage);
        let share = core_share / f32::from(u16::try_from(cores).unwrap_or(u16::MAX));
        Some(Figures {
            cpu: CpuUsage {
                process_cpu_time: process.map_or(0, |p| p.accumulated_cpu_time() * 1_000),
                system_cpu_load: percent(system.global_cpu_usage()),
                process_cpu_load: percent(share),
                load_average: System::load_average().map_or(0.0, |load| load.one),
            },
            jvm: JvmMemoryUsage {
                max_memory: system.total_memory(),
                total_memory: resident,
                free_memory: 0,
                in_use_memory: resident,
            },
            memory: SystemMemoryInfo {
                virtual_memory: process.map_or(0, sysinfo::Process::virtual_memory),
                total_memory: system.total_memory(),
                free_memory: system.free_memory(),
                in_use_memory: system.used_memory(),
                total_swap_space: system.total_swap(),
                free_swap_space: system.free_swap(),
                in_use_swap_space: system.used_swap(),
                available_memory: system.available_memory(),
            },
            info: SystemInfo {
                os_name: System::name().unwrap_or_else(|_| std::env::consts::OS.to_owned()),
                os_arch: System::cpu_arch(),
                java_version: "none".to_owned(),
                processor_count: cores,
            },
        })
    }
}

fn percent(load: f32) -> u32 {
    let load = load.round().clamp(0.0, 100.0);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "clamped to 0..=100 above; NaN becomes 0"
    )]
    let load = load as u32;
    load
}

fn file_system(dir: &Path) -> FileSystemInfo {
    let Ok(stat) = rustix::fs::statvfs(dir) else {
        return FileSystemInfo::default();
    };
    let bytes = |blocks: u64| blocks.saturating_mul(stat.f_frsize);
    FileSystemInfo {
        usable_space: bytes(stat.f_bavail),
        total_space: bytes(stat.f_blocks),
        free_space: bytes(stat.f_bfree),
        in_use_space: bytes(stat.f_blocks.saturating_sub(stat.f_bfree)),
    }
}

/// `GET /rest/v2/system-resources`.
#[utoipa::path(get, path = "/rest/v2/system-resources", tag = "figures",
    responses((status = 200, body = SystemResources), Refusals))]
pub(crate) async fn system_resources(
    State(shared): State<Arc<Shared>>,
) -> Result<Json<SystemResources>, ApiError> {
    let Figures {
        cpu,
        jvm,
        memory,
        info,
    } = shared.machine.figures();
    let node = &shared.given.node;
    let own = shared.find_node(|record| record.id == node.id).await?;
    let viewers = own
        .as_ref()
        .map_or_else(Viewers::default, |own| own.viewers);
    let live = shared.total_live().await?;
    Ok(Json(SystemResources {
        instance_id: node.id.clone(),
        jvm_native_memory_usage: JvmNativeMemoryUsage {
            in_use_memory: jvm.in_use_memory,
            max_memory: jvm.max_memory,
        },
        cpu_usage: cpu,
        jvm_memory_usage: jvm,
        system_info: info,
        system_memory_info: memory,
        file_system_info: file_system(&shared.given.management.options.data_dir),
        software_version: VersionJson::new(node),
        gpu_usage_info: Vec::new(),
        ffmpeg_build_info: String::new(),
        db_average_query_time_ms: own.map_or(0, |record| record.db_query_average_time_ms),
        local_webrtc_live_streams: 0,
        local_live_streams: shared.live_here().await?,
        local_webrtc_viewers: viewers.webrtc,
        local_hls_viewers: viewers.hls,
        local_dash_viewers: viewers.dash,
        encoders_blocked: 0,
        encoders_not_opened: 0,
        publish_timeout_errors: 0,
        worker_queue_size: 0,
        webrtc_worker_queue_size: 0,
        server_timing: shared.timing(),
        total_live_stream_size: live,
        license: Licence::free(),
    }))
}

/// `GET /rest/v2/cpu-status`.
#[utoipa::path(get, path = "/rest/v2/cpu-status", tag = "figures",
    responses((status = 200, body = CpuUsage), Refusals))]
pub(crate) async fn cpu_status(State(shared): State<Arc<Shared>>) -> Json<CpuUsage> {
    Json(shared.machine.figures().cpu)
}

/// `GET /rest/v2/system-memory-status`.
#[utoipa::path(get, path = "/rest/v2/system-memory-status", tag = "figures",
    responses((status = 200, body = SystemMemoryInfo), Refusals))]
pub(crate) async fn system_memory_status(
    State(shared): State<Arc<Shared>>,
) -> Json<SystemMemoryInfo> {
    Json(shared.machine.figures().memory)
}

/// `GET /rest/v2/jvm-memory-status`: the process's memory.
#[utoipa::path(get, path = "/rest/v2/jvm-memory-status", tag = "figures",
    responses((status = 200, body = JvmMemoryUsage), Refusals))]
pub(crate) async fn jvm_memory_status(State(shared): State<Arc<Shared>>) -> Json<JvmMemoryUsage> {
    Json(shared.machine.figures().jvm)
}

/// `GET /rest/v2/file-system-status`.
#[utoipa::path(get, path = "/rest/v2/file-system-status", tag = "figures",
    responses((status = 200, body = FileSystemInfo), Refusals))]
pub(crate) async fn file_system_status(State(shared): State<Arc<Shared>>) -> Json<FileSystemInfo> {
    Json(file_system(&shared.given.management.options.data_dir))
}

/// `GET /rest/v2/system-status`.
#[utoipa::path(get, path = "/rest/v2/system-status", tag = "figures",
    responses((status = 200, body = SystemStatus), Refusals))]
pub(crate) async fn system_status(State(shared): State<Arc<Shared>>) -> Json<SystemStatus> {
    let Figures { cpu, info, .. } = shared.machine.figures();
    Json(SystemStatus {
        os_status: info,
        cpu_status: cpu,
    })
}

/// `GET /rest/v2/gpu-status`: none.
#[utoipa::path(get, path = "/rest/v2/gpu-status", tag = "figures",
    responses((status = 200, body = Vec<GpuUsage>), Refusals))]
pub(crate) async fn gpu_status() -> Json<Vec<GpuUsage>> {
    Json(Vec::new())
}

impl Shared {
    /// Live streams that this node owns.
    async fn live_here(&self) -> Result<usize, ApiError> {
        let mut here = 0;
        for app in self.given.management.apps.names() {
            let live = self.live(&app).await?;
            let owned = |id: &str| id == self.given.node.id;
            let own = live.iter().filter_map(|stream| stream.owner.as_ref());
            here += own.filter(|owner| owned(&owner.node_id)).count();
        }
        Ok(here)
    }
}
