#include "runtimes/known_causes.hpp"

#include <algorithm>
#include <array>
#include <boost/algorithm/string/predicate.hpp>
#include <span>

namespace signalbox::runtimes {
namespace {

using words = std::span<const std::string_view>;

bool has_any(const std::string& line, words wanted) {
  return std::any_of(wanted.begin(), wanted.end(), [&](std::string_view word) {
    return boost::algorithm::icontains(line, word);
  });
}

bool has_any(const std::vector<std::string>& lines, words wanted) {
  return std::any_of(lines.begin(), lines.end(),
                     [&](const auto& line) { return has_any(line, wanted); });
}

constexpr std::array<std::string_view, 9> out_of_memory{
    "out of memory",  // CUDA's, HIP's, llama.cpp's, the kernel's
    "OutOfMemoryError",
    "cudaErrorMemoryAllocation",
    "CUDA_ERROR_OUT_OF_MEMORY",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "No available memory for the cache blocks",  // vLLM
    "less than desired GPU memory utilization",
    "std::bad_alloc",
    "Cannot allocate memory"};

constexpr std::array<std::string_view, 6> incompatible{
    "are not supported for now",  // vLLM: "Model architectures [...]"
    "does not recognize this architecture",
    "unknown model architecture",  // llama.cpp
    "Unsupported model architecture",
    "unsupported GGUF version",
    "has no vLLM implementation"};

constexpr std::array<std::string_view, 3> too_long{
    "estimated maximum model length", "larger than the maximum number of tokens that can be stored",
    "KV cache is needed, which is larger than the available"};

constexpr std::array<std::string_view, 3> port_in_use{"Address already in use", "EADDRINUSE",
                                                      "couldn't bind HTTP server socket"};

constexpr std::array<std::string_view, 4> old_driver{
    "driver version is insufficient", "CUDA driver version is older",
    "driver on your system is too old", "forward compatibility was attempted on non supported HW"};

constexpr std::array<std::string_view, 3> no_kernel{"no kernel image is available for execution",
                                                    "CUDA capability sm_",
                                                    "compute capability at least"};

constexpr std::array<std::string_view, 4> no_gpu{
    "no CUDA-capable device", "No CUDA GPUs are available", "Found no NVIDIA driver",
    "Failed to infer device type"};

constexpr std::array<std::string_view, 2> missing_library{"error while loading shared libraries",
                                                          "cannot open shared object file"};

constexpr std::array<std::string_view, 2> missing_module{"ModuleNotFoundError", "No module named"};

constexpr std::array<std::string_view, 5> gated{"GatedRepoError", "Access to model",
                                                "401 Client Error", "Invalid user token",
                                                "Cannot access gated repo"};

constexpr std::array<std::string_view, 4> no_network{
    "Temporary failure in name resolution", "LocalEntryNotFoundError",
    "couldn't connect to 'https://huggingface.co'", "Failed to resolve 'huggingface.co'"};

constexpr std::array<std::string_view, 2> disk_full{"No space left on device",
                                                    "Disk quota exceeded"};

constexpr std::array<std::string_view, 6> missing_file{
    "No such file or directory",       "FileNotFoundError",    "failed to open GGUF",
    "is not a valid model identifier", "Repository Not Found", "RepositoryNotFoundError"};

constexpr std::array<std::string_view, 2> forbidden_file{"Permission denied", "PermissionError"};

constexpr std::array<std::string_view, 3> wrong_argument{
    "unrecognized arguments", "error: invalid argument", "error: unknown argument"};

constexpr std::array<std::string_view, 2> shared_memory{"unable to open shared memory object",
                                                        "insufficient shared memory (shm)"};

struct cause {
  words of;
  std::string_view cure;
};

// What is particular comes first: "No such file or directory" also ends the line of a library that
// is missing.
constexpr std::array causes{
    cause{too_long,
          "Set a smaller context length (vLLM: --max-model-len; llama-server: --ctx-size), or give "
          "the model more GPU memory."},
    cause{out_of_memory,
          "Lower what the runtime takes (vLLM: --max-model-len, --gpu-memory-utilization; "
          "llama-server: --ctx-size, --n-gpu-layers), take a smaller or more quantized model, or "
          "declare more gpu_memory so that nothing else runs beside it."},
    cause{incompatible,
          "This runtime does not know the model's architecture: use a newer version of the "
          "runtime, or another runtime."},
    cause{port_in_use,
          "Another program has the port: let the command take {port}, which the gateway chooses."},
    cause{old_driver,
          "The GPU driver is older than the runtime's CUDA: update the driver, or use a runtime "
          "built for an older CUDA."},
    cause{no_kernel,
          "The runtime was not built for this GPU: use a build, a data type or a quantization that "
          "this GPU supports."},
    cause{no_gpu,
          "The runtime sees no GPU: declare the model's gpu_memory, and check the driver with "
          "nvidia-smi."},
    cause{gated,
          "Hugging Face refuses the download: accept the model's licence there, and set HF_TOKEN "
          "in the model's environment."},
    cause{no_network,
          "The download of the model needs a network: check the name server and the proxy, or use "
          "a local folder."},
    cause{disk_full, "The disk is full: make room where the model is downloaded to."},
    cause{missing_library,
          "A library is missing: install it, or set LD_LIBRARY_PATH in the model's environment."},
    cause{missing_module,
          "A Python package is missing: install it where the command's Python looks."},
    cause{shared_memory,
          "The shared memory is too small: make /dev/shm larger (Docker: shm_size)."},
    cause{wrong_argument,
          "The runtime does not know one of its arguments: compare the model's command with the "
          "runtime's --help."},
    cause{forbidden_file, "The runtime may not read or write a file: check owner and mode."},
    cause{missing_file,
          "A file or a model is not there: check the paths and names in the model's command."}};

}  // namespace

bool tells_out_of_memory(const std::vector<std::string>& lines) {
  return has_any(lines, out_of_memory);
}

bool tells_incompatible(const std::vector<std::string>& lines) {
  return has_any(lines, incompatible);
}

std::string_view likely_cure(const std::vector<std::string>& lines) {
  const auto found = std::find_if(causes.begin(), causes.end(),
                                  [&](const cause& c) { return has_any(lines, c.of); });
  return found == causes.end() ? std::string_view() : found->cure;
}

}  // namespace signalbox::runtimes
