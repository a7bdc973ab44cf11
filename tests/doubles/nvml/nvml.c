/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Copyright (c) 2026, gguf.fleet contributors */
/*
 * A stand-in for NVIDIA's libnvidia-ml.so.1: it reports the GPUs that a small text file describes.
 * README.md beside this file says what it keeps to. Function names, structures and return codes are
 * those of NVIDIA's public nvml.h, so that programs written for the real library load this one.
 */
#include <ctype.h>
#include <dirent.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    NVML_SUCCESS = 0,
    NVML_ERROR_UNINITIALIZED = 1,
    NVML_ERROR_INVALID_ARGUMENT = 2,
    NVML_ERROR_NOT_SUPPORTED = 3,
    NVML_ERROR_NOT_FOUND = 6,
    NVML_ERROR_INSUFFICIENT_SIZE = 7,
    NVML_ERROR_DRIVER_NOT_LOADED = 9,
    NVML_ERROR_GPU_IS_LOST = 15,
    NVML_ERROR_LIB_RM_VERSION_MISMATCH = 18,
};

#define MAX_GPUS 16
#define MAX_PROCESSES 16
#define UNSET (-1)
#define MIB 1048576ULL
#define HOLDS " nvml:"
#define API __attribute__((visibility("default")))

typedef int nvmlReturn_t;
typedef struct { unsigned long long total, free, used; } nvmlMemory_t;
typedef struct { unsigned int version; unsigned long long total, reserved, free, used; } nvmlMemory_v2_t;
typedef struct { unsigned long long bar1Total, bar1Free, bar1Used; } nvmlBAR1Memory_t;
typedef struct { unsigned int pid; unsigned long long usedGpuMemory; unsigned int gpuInstanceId, computeInstanceId; } nvmlProcessInfo_t;
typedef struct {
    char busIdLegacy[16];
    unsigned int domain, bus, device, pciDeviceId, pciSubSystemId;
    char busId[32];
} nvmlPciInfo_t;
typedef struct {
    unsigned int version;
    unsigned char clusterUuid[16];
    nvmlReturn_t status;
    unsigned int cliqueId;
    unsigned char state;
    unsigned int healthMask;
    unsigned char healthSummary;
} nvmlGpuFabricInfoV_t;

struct process { unsigned int pid; long memory_mib; char name[128]; };

/* A number below zero means "not given": the call answers NVML_ERROR_NOT_SUPPORTED, as the real one does. */
struct gpu {
    char name[96], uuid[96];
    int lost;
    long architecture, capability_major, capability_minor;
    long memory_mib, reserved_mib, used_mib, bar1_mib, power_limit_w;
    long pcie_generation, pcie_width, numa_node, nvlinks, mig, ecc, ecc_errors, persistence, fabric_state;
    struct process processes[MAX_PROCESSES];
    unsigned int process_count;
};

static struct {
    int initialised;
    nvmlReturn_t init_result;
    char driver[80], nvml[80];
    int cuda;
    struct gpu gpus[MAX_GPUS];
    unsigned int count;
} state;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static char *trim(char *text) {
    char *end;
    while (isspace((unsigned char)*text)) text++;
    end = text + strlen(text);
    while (end > text && isspace((unsigned char)end[-1])) *--end = '\0';
    return text;
}

static void copy(char *to, size_t size, const char *from) { snprintf(to, size, "%s", from); }

static long named(const char *value, const char *const names[], int count) {
    int i;
    for (i = 0; i < count; i++)
        if (names[i] && strcmp(value, names[i]) == 0) return i;
    return atol(value);
}

static long architecture_of(const char *value) {
    static const char *const names[] = {0, 0, "kepler", "maxwell", "pascal", "volta", "turing", "ampere", "ada", "hopper", "blackwell"};
    return named(value, names, 11);
}

static long fabric_of(const char *value) {
    static const char *const names[] = {"not_supported", "not_started", "in_progress", "completed"};
    return named(value, names, 4);
}

static long on_off(const char *value) { return strcmp(value, "on") == 0 ? 1 : strcmp(value, "off") == 0 ? 0 : atol(value); }

static void add_process(struct gpu *gpu, unsigned int pid, long memory_mib, const char *name) {
    struct process *process;
    if (gpu->process_count == MAX_PROCESSES) return;
    process = &gpu->processes[gpu->process_count++];
    process->pid = pid;
    process->memory_mib = memory_mib;
    copy(process->name, sizeof process->name, name);
}

static void set_global(const char *key, const char *value) {
    int major = 0, minor = 0;
    if (strcmp(key, "driver_version") == 0) copy(state.driver, sizeof state.driver, value);
    else if (strcmp(key, "nvml_version") == 0) copy(state.nvml, sizeof state.nvml, value);
    else if (strcmp(key, "cuda_version") == 0 && sscanf(value, "%d.%d", &major, &minor) == 2) state.cuda = major * 1000 + minor * 10;
    else if (strcmp(key, "init") == 0 && strcmp(value, "driver_not_loaded") == 0) state.init_result = NVML_ERROR_DRIVER_NOT_LOADED;
    else if (strcmp(key, "init") == 0 && strcmp(value, "version_mismatch") == 0) state.init_result = NVML_ERROR_LIB_RM_VERSION_MISMATCH;
    else fprintf(stderr, "nvml double: unknown setting %s = %s\n", key, value);
}

static void set_gpu(struct gpu *gpu, unsigned int index, const char *key, const char *value) {
    if (strcmp(key, "name") == 0) copy(gpu->name, sizeof gpu->name, value);
    else if (strcmp(key, "uuid_prefix") == 0) snprintf(gpu->uuid, sizeof gpu->uuid, "%s%012u", value, index);
    else if (strcmp(key, "lost") == 0) gpu->lost = on_off(value) == 1;
    else if (strcmp(key, "architecture") == 0) gpu->architecture = architecture_of(value);
    else if (strcmp(key, "compute_capability") == 0) sscanf(value, "%ld.%ld", &gpu->capability_major, &gpu->capability_minor);
    else if (strcmp(key, "memory_mib") == 0) gpu->memory_mib = atol(value);
    else if (strcmp(key, "reserved_mib") == 0) gpu->reserved_mib = atol(value);
    else if (strcmp(key, "used_mib") == 0) gpu->used_mib = atol(value);
    else if (strcmp(key, "bar1_mib") == 0) gpu->bar1_mib = atol(value);
    else if (strcmp(key, "power_limit_w") == 0) gpu->power_limit_w = atol(value);
    else if (strcmp(key, "pcie_generation") == 0) gpu->pcie_generation = atol(value);
    else if (strcmp(key, "pcie_width") == 0) gpu->pcie_width = atol(value);
    else if (strcmp(key, "numa_node") == 0) gpu->numa_node = atol(value);
    else if (strcmp(key, "numa_split") == 0) gpu->numa_node = (long)index / atol(value);
    else if (strcmp(key, "nvlinks") == 0) gpu->nvlinks = atol(value);
    else if (strcmp(key, "mig") == 0) gpu->mig = on_off(value);
    else if (strcmp(key, "ecc") == 0) gpu->ecc = on_off(value);
    else if (strcmp(key, "ecc_errors") == 0) gpu->ecc_errors = atol(value);
    else if (strcmp(key, "persistence") == 0) gpu->persistence = on_off(value);
    else if (strcmp(key, "fabric") == 0) gpu->fabric_state = fabric_of(value);
    else if (strcmp(key, "process") == 0) {
        unsigned int pid; long memory_mib; char name[128];
        if (sscanf(value, "%u %ld %127[^\n]", &pid, &memory_mib, name) == 3) add_process(gpu, pid, memory_mib, name);
    } else fprintf(stderr, "nvml double: unknown GPU setting %s = %s\n", key, value);
}

static void reset_gpu(struct gpu *gpu) {
    memset(gpu, 0, sizeof *gpu);
    gpu->architecture = gpu->capability_major = gpu->bar1_mib = gpu->power_limit_w = UNSET;
    gpu->pcie_generation = gpu->pcie_width = gpu->numa_node = gpu->mig = gpu->ecc = UNSET;
    gpu->persistence = gpu->fabric_state = gpu->nvlinks = gpu->reserved_mib = UNSET;
}

static void read_config(void) {
    const char *path = getenv("NVML_DOUBLE_CONFIG");
    unsigned int first = 1, last = 0, i;
    char line[512];
    FILE *file = fopen(path && *path ? path : "/etc/nvml-double.conf", "r");
    memset(&state, 0, sizeof state);
    if (!file) { state.init_result = NVML_ERROR_DRIVER_NOT_LOADED; return; }
    while (fgets(line, sizeof line, file)) {
        char *text = trim(line), *value = strchr(text, '=');
        if (!*text || *text == '#') continue;
        if (*text == '[') {
            if (sscanf(text, "[gpu %u-%u]", &first, &last) != 2 && sscanf(text, "[gpu %u]", &first) == 1) last = first;
            for (i = first; i <= last && i < MAX_GPUS; i++) {
                if (i >= state.count) reset_gpu(&state.gpus[i]);
                if (i + 1 > state.count) state.count = i + 1;
            }
            continue;
        }
        if (!value) continue;
        *value++ = '\0';
        text = trim(text);
        value = trim(value);
        if (first > last) set_global(text, value);
        for (i = first; i <= last && i < MAX_GPUS; i++) set_gpu(&state.gpus[i], i, text, value);
    }
    fclose(file);
}

/* "<program> nvml:<uuid>=<MiB>,<uuid>=<MiB>", the name by which a program was started: what it holds of one GPU, or -1. */
static long held_by(const char *started_as, const char *uuid) {
    const char *found = strstr(started_as, HOLDS);
    size_t length = strlen(uuid);
    if (!found) return -1;
    for (found += strlen(HOLDS); found; found = strchr(found, ',')) {
        if (*found == ',') found++;
        if (strncmp(found, uuid, length) == 0 && found[length] == '=') return atol(found + length + 1);
    }
    return -1;
}

/* A process of a container that is seen from outside has a number for each of its namespaces; its cards are not ours. */
static int is_ours(const char *pid) {
    char path[300], line[512];
    int numbers = 1;
    FILE *file;
    snprintf(path, sizeof path, "/proc/%s/status", pid);
    if (!(file = fopen(path, "r"))) return 0;
    while (fgets(line, sizeof line, file))
        if (strncmp(line, "NSpid:", 6) == 0) {
            char *text, *rest = NULL;
            for (numbers = 0, text = strtok_r(line + 6, " \t\n", &rest); text; text = strtok_r(NULL, " \t\n", &rest)) numbers++;
        }
    fclose(file);
    return numbers == 1;
}

/* Programs that hold memory right now, as any user may see them in /proc; who ends, holds nothing more. */
static unsigned int processes_of(const struct gpu *gpu, struct process *out) {
    unsigned int count = gpu->process_count;
    struct dirent *entry;
    DIR *proc = opendir("/proc");
    memcpy(out, gpu->processes, sizeof gpu->processes);
    while (proc && count < MAX_PROCESSES && (entry = readdir(proc))) {
        char path[300], started_as[2048] = "";
        FILE *file;
        long memory_mib;
        if (!isdigit((unsigned char)*entry->d_name)) continue;
        snprintf(path, sizeof path, "/proc/%s/cmdline", entry->d_name);
        if (!(file = fopen(path, "r"))) continue;
        started_as[fread(started_as, 1, sizeof started_as - 1, file)] = '\0';
        fclose(file);
        if ((memory_mib = held_by(started_as, gpu->uuid)) < 0 || !is_ours(entry->d_name)) continue;
        *strstr(started_as, HOLDS) = '\0';
        out[count].pid = (unsigned int)atol(entry->d_name);
        out[count].memory_mib = memory_mib;
        copy(out[count++].name, sizeof out->name, started_as);
    }
    if (proc) closedir(proc);
    return count;
}

static unsigned long long used_bytes(const struct gpu *gpu) {
    struct process processes[MAX_PROCESSES];
    unsigned int i, count = processes_of(gpu, processes);
    unsigned long long used = (unsigned long long)gpu->used_mib * MIB;
    for (i = 0; i < count; i++) used += (unsigned long long)processes[i].memory_mib * MIB;
    return used;
}

static nvmlReturn_t usable(const struct gpu *gpu) {
    if (!state.initialised) return NVML_ERROR_UNINITIALIZED;
    if (gpu < state.gpus || gpu >= state.gpus + state.count) return NVML_ERROR_INVALID_ARGUMENT;
    return gpu->lost ? NVML_ERROR_GPU_IS_LOST : NVML_SUCCESS;
}

static nvmlReturn_t give_text(char *buffer, unsigned int size, const char *text) {
    if (!buffer) return NVML_ERROR_INVALID_ARGUMENT;
    if (strlen(text) >= size) return NVML_ERROR_INSUFFICIENT_SIZE;
    strcpy(buffer, text);
    return NVML_SUCCESS;
}

static nvmlReturn_t give_number(const struct gpu *gpu, long number, unsigned int *out) {
    nvmlReturn_t result = usable(gpu);
    if (result != NVML_SUCCESS) return result;
    if (!out) return NVML_ERROR_INVALID_ARGUMENT;
    if (number == UNSET) return NVML_ERROR_NOT_SUPPORTED;
    *out = (unsigned int)number;
    return NVML_SUCCESS;
}

API nvmlReturn_t nvmlInitWithFlags(unsigned int flags) {
    nvmlReturn_t result;
    (void)flags;
    pthread_mutex_lock(&lock);
    if (!state.initialised) read_config();
    result = state.init_result;
    if (result == NVML_SUCCESS) state.initialised++;
    pthread_mutex_unlock(&lock);
    return result;
}
API nvmlReturn_t nvmlInit_v2(void) { return nvmlInitWithFlags(0); }
API nvmlReturn_t nvmlInit(void) { return nvmlInitWithFlags(0); }

API nvmlReturn_t nvmlShutdown(void) {
    if (!state.initialised) return NVML_ERROR_UNINITIALIZED;
    state.initialised--;
    return NVML_SUCCESS;
}

API const char *nvmlErrorString(nvmlReturn_t result) {
    switch (result) {
    case NVML_SUCCESS: return "Success";
    case NVML_ERROR_UNINITIALIZED: return "Uninitialized";
    case NVML_ERROR_INVALID_ARGUMENT: return "Invalid Argument";
    case NVML_ERROR_NOT_SUPPORTED: return "Not Supported";
    case NVML_ERROR_NOT_FOUND: return "Not Found";
    case NVML_ERROR_INSUFFICIENT_SIZE: return "Insufficient Size";
    case NVML_ERROR_DRIVER_NOT_LOADED: return "Driver Not Loaded";
    case NVML_ERROR_GPU_IS_LOST: return "GPU is lost";
    case NVML_ERROR_LIB_RM_VERSION_MISMATCH: return "Driver/library version mismatch";
    default: return "Unknown Error";
    }
}

API nvmlReturn_t nvmlSystemGetDriverVersion(char *version, unsigned int length) {
    return state.initialised ? give_text(version, length, state.driver) : NVML_ERROR_UNINITIALIZED;
}
API nvmlReturn_t nvmlSystemGetNVMLVersion(char *version, unsigned int length) {
    return state.initialised ? give_text(version, length, *state.nvml ? state.nvml : state.driver) : NVML_ERROR_UNINITIALIZED;
}
API nvmlReturn_t nvmlSystemGetCudaDriverVersion_v2(int *version) {
    if (!state.initialised) return NVML_ERROR_UNINITIALIZED;
    *version = state.cuda;
    return NVML_SUCCESS;
}
API nvmlReturn_t nvmlSystemGetCudaDriverVersion(int *version) { return nvmlSystemGetCudaDriverVersion_v2(version); }

API nvmlReturn_t nvmlSystemGetProcessName(unsigned int pid, char *name, unsigned int length) {
    struct process processes[MAX_PROCESSES];
    unsigned int i, j, count;
    if (!state.initialised) return NVML_ERROR_UNINITIALIZED;
    for (i = 0; i < state.count; i++) {
        count = processes_of(&state.gpus[i], processes);
        for (j = 0; j < count; j++)
            if (processes[j].pid == pid) return give_text(name, length, processes[j].name);
    }
    return NVML_ERROR_NOT_FOUND;
}

API nvmlReturn_t nvmlDeviceGetCount_v2(unsigned int *count) {
    if (!state.initialised) return NVML_ERROR_UNINITIALIZED;
    *count = state.count;
    return NVML_SUCCESS;
}
API nvmlReturn_t nvmlDeviceGetCount(unsigned int *count) { return nvmlDeviceGetCount_v2(count); }

API nvmlReturn_t nvmlDeviceGetHandleByIndex_v2(unsigned int index, struct gpu **device) {
    if (!state.initialised) return NVML_ERROR_UNINITIALIZED;
    if (index >= state.count) return NVML_ERROR_INVALID_ARGUMENT;
    *device = &state.gpus[index];
    return usable(*device);
}
API nvmlReturn_t nvmlDeviceGetHandleByIndex(unsigned int index, struct gpu **device) { return nvmlDeviceGetHandleByIndex_v2(index, device); }

API nvmlReturn_t nvmlDeviceGetHandleByUUID(const char *uuid, struct gpu **device) {
    unsigned int i;
    if (!state.initialised) return NVML_ERROR_UNINITIALIZED;
    for (i = 0; i < state.count; i++)
        if (strcmp(state.gpus[i].uuid, uuid) == 0) { *device = &state.gpus[i]; return usable(*device); }
    return NVML_ERROR_NOT_FOUND;
}

API nvmlReturn_t nvmlDeviceGetName(struct gpu *gpu, char *name, unsigned int length) {
    nvmlReturn_t result = usable(gpu);
    return result == NVML_SUCCESS ? give_text(name, length, gpu->name) : result;
}
API nvmlReturn_t nvmlDeviceGetUUID(struct gpu *gpu, char *uuid, unsigned int length) {
    nvmlReturn_t result = usable(gpu);
    return result == NVML_SUCCESS ? give_text(uuid, length, gpu->uuid) : result;
}
API nvmlReturn_t nvmlDeviceGetIndex(struct gpu *gpu, unsigned int *index) { return give_number(gpu, gpu - state.gpus, index); }
API nvmlReturn_t nvmlDeviceGetMinorNumber(struct gpu *gpu, unsigned int *minor) { return give_number(gpu, gpu - state.gpus, minor); }
API nvmlReturn_t nvmlDeviceGetArchitecture(struct gpu *gpu, unsigned int *architecture) { return give_number(gpu, gpu->architecture, architecture); }

API nvmlReturn_t nvmlDeviceGetCudaComputeCapability(struct gpu *gpu, int *major, int *minor) {
    nvmlReturn_t result = usable(gpu);
    if (result != NVML_SUCCESS) return result;
    if (gpu->capability_major == UNSET) return NVML_ERROR_NOT_SUPPORTED;
    *major = (int)gpu->capability_major;
    *minor = (int)gpu->capability_minor;
    return NVML_SUCCESS;
}

/* As in the real library: version 1 counts the reserved memory as used, version 2 shows it apart. */
API nvmlReturn_t nvmlDeviceGetMemoryInfo(struct gpu *gpu, nvmlMemory_t *memory) {
    nvmlReturn_t result = usable(gpu);
    if (result != NVML_SUCCESS) return result;
    memory->total = (unsigned long long)gpu->memory_mib * MIB;
    memory->used = used_bytes(gpu) + (gpu->reserved_mib == UNSET ? 0 : (unsigned long long)gpu->reserved_mib * MIB);
    memory->free = memory->used > memory->total ? 0 : memory->total - memory->used;
    return NVML_SUCCESS;
}
API nvmlReturn_t nvmlDeviceGetMemoryInfo_v2(struct gpu *gpu, nvmlMemory_v2_t *memory) {
    nvmlReturn_t result = usable(gpu);
    nvmlMemory_t first;
    if (result != NVML_SUCCESS) return result;
    if (gpu->reserved_mib == UNSET) return NVML_ERROR_NOT_SUPPORTED;
    nvmlDeviceGetMemoryInfo(gpu, &first);
    memory->total = first.total;
    memory->free = first.free;
    memory->reserved = (unsigned long long)gpu->reserved_mib * MIB;
    memory->used = first.used - memory->reserved;
    return NVML_SUCCESS;
}
API nvmlReturn_t nvmlDeviceGetBAR1MemoryInfo(struct gpu *gpu, nvmlBAR1Memory_t *memory) {
    nvmlReturn_t result = usable(gpu);
    if (result != NVML_SUCCESS) return result;
    if (gpu->bar1_mib == UNSET) return NVML_ERROR_NOT_SUPPORTED;
    memory->bar1Total = memory->bar1Free = (unsigned long long)gpu->bar1_mib * MIB;
    memory->bar1Used = 0;
    return NVML_SUCCESS;
}

API nvmlReturn_t nvmlDeviceGetEnforcedPowerLimit(struct gpu *gpu, unsigned int *limit_mw) {
    return give_number(gpu, gpu->power_limit_w == UNSET ? UNSET : gpu->power_limit_w * 1000, limit_mw);
}
API nvmlReturn_t nvmlDeviceGetMaxPcieLinkGeneration(struct gpu *gpu, unsigned int *generation) { return give_number(gpu, gpu->pcie_generation, generation); }
API nvmlReturn_t nvmlDeviceGetCurrPcieLinkGeneration(struct gpu *gpu, unsigned int *generation) { return give_number(gpu, gpu->pcie_generation, generation); }
API nvmlReturn_t nvmlDeviceGetMaxPcieLinkWidth(struct gpu *gpu, unsigned int *width) { return give_number(gpu, gpu->pcie_width, width); }
API nvmlReturn_t nvmlDeviceGetCurrPcieLinkWidth(struct gpu *gpu, unsigned int *width) { return give_number(gpu, gpu->pcie_width, width); }
API nvmlReturn_t nvmlDeviceGetNumaNodeId(struct gpu *gpu, unsigned int *node) { return give_number(gpu, gpu->numa_node, node); }
API nvmlReturn_t nvmlDeviceGetPersistenceMode(struct gpu *gpu, unsigned int *mode) { return give_number(gpu, gpu->persistence, mode); }

static void pci_of(const struct gpu *gpu, nvmlPciInfo_t *pci) {
    memset(pci, 0, sizeof *pci);
    pci->bus = 0x10 + (unsigned int)(gpu - state.gpus);
    snprintf(pci->busIdLegacy, sizeof pci->busIdLegacy, "0000:%02X:00.0", pci->bus);
    snprintf(pci->busId, sizeof pci->busId, "00000000:%02X:00.0", pci->bus);
}
API nvmlReturn_t nvmlDeviceGetPciInfo_v3(struct gpu *gpu, nvmlPciInfo_t *pci) {
    nvmlReturn_t result = usable(gpu);
    if (result == NVML_SUCCESS) pci_of(gpu, pci);
    return result;
}

/* nvlinks = N: N links to an NVSwitch, all active (the way of an HGX board). */
static nvmlReturn_t link_exists(const struct gpu *gpu, unsigned int link) {
    nvmlReturn_t result = usable(gpu);
    if (result != NVML_SUCCESS) return result;
    if (gpu->nvlinks == UNSET) return NVML_ERROR_NOT_SUPPORTED;
    return link < (unsigned long)gpu->nvlinks ? NVML_SUCCESS : NVML_ERROR_INVALID_ARGUMENT;
}
API nvmlReturn_t nvmlDeviceGetNvLinkState(struct gpu *gpu, unsigned int link, unsigned int *active) {
    nvmlReturn_t result = link_exists(gpu, link);
    if (result == NVML_SUCCESS) *active = gpu->fabric_state == UNSET || gpu->fabric_state == 3;
    return result;
}
API nvmlReturn_t nvmlDeviceGetNvLinkRemoteDeviceType(struct gpu *gpu, unsigned int link, unsigned int *type) {
    nvmlReturn_t result = link_exists(gpu, link);
    if (result == NVML_SUCCESS) *type = 2;
    return result;
}
API nvmlReturn_t nvmlDeviceGetNvLinkRemotePciInfo_v2(struct gpu *gpu, unsigned int link, nvmlPciInfo_t *pci) {
    nvmlReturn_t result = link_exists(gpu, link);
    if (result != NVML_SUCCESS) return result;
    memset(pci, 0, sizeof *pci);
    snprintf(pci->busId, sizeof pci->busId, "00000000:%02X:00.0", 0xA0 + link % 4);
    return NVML_SUCCESS;
}
API nvmlReturn_t nvmlDeviceGetGpuFabricInfoV(struct gpu *gpu, nvmlGpuFabricInfoV_t *info) {
    nvmlReturn_t result = usable(gpu);
    if (result != NVML_SUCCESS) return result;
    if (gpu->fabric_state == UNSET) return NVML_ERROR_NOT_SUPPORTED;
    info->state = (unsigned char)gpu->fabric_state;
    info->status = NVML_SUCCESS;
    return NVML_SUCCESS;
}

API nvmlReturn_t nvmlDeviceGetMigMode(struct gpu *gpu, unsigned int *current, unsigned int *pending) {
    nvmlReturn_t result = give_number(gpu, gpu->mig, current);
    return result == NVML_SUCCESS ? give_number(gpu, gpu->mig, pending) : result;
}
API nvmlReturn_t nvmlDeviceGetEccMode(struct gpu *gpu, unsigned int *current, unsigned int *pending) {
    nvmlReturn_t result = give_number(gpu, gpu->ecc, current);
    return result == NVML_SUCCESS ? give_number(gpu, gpu->ecc, pending) : result;
}
/* errorType 1 = uncorrected; the corrected count is always 0 here. */
API nvmlReturn_t nvmlDeviceGetTotalEccErrors(struct gpu *gpu, unsigned int type, unsigned int counter, unsigned long long *count) {
    nvmlReturn_t result = usable(gpu);
    (void)counter;
    if (result != NVML_SUCCESS) return result;
    if (gpu->ecc != 1) return NVML_ERROR_NOT_SUPPORTED;
    *count = type == 1 ? (unsigned long long)gpu->ecc_errors : 0;
    return NVML_SUCCESS;
}

API nvmlReturn_t nvmlDeviceGetComputeRunningProcesses_v3(struct gpu *gpu, unsigned int *count, nvmlProcessInfo_t *infos) {
    struct process processes[MAX_PROCESSES];
    nvmlReturn_t result = usable(gpu);
    unsigned int i, present, room;
    if (result != NVML_SUCCESS) return result;
    if (!count) return NVML_ERROR_INVALID_ARGUMENT;
    present = processes_of(gpu, processes);
    room = *count;
    *count = present;
    if (present == 0) return NVML_SUCCESS;
    if (room < present || !infos) return NVML_ERROR_INSUFFICIENT_SIZE;
    for (i = 0; i < present; i++) {
        infos[i].pid = processes[i].pid;
        infos[i].usedGpuMemory = (unsigned long long)processes[i].memory_mib * MIB;
        infos[i].gpuInstanceId = infos[i].computeInstanceId = 0xFFFFFFFFu;
    }
    return NVML_SUCCESS;
}
