// What is read in the last words of a runtime.
#include "runtimes/known_causes.hpp"

#include <boost/test/unit_test.hpp>
#include <csignal>
#include <utility>

#include "runtimes/exit_report.hpp"

using namespace signalbox::runtimes;
using signalbox::scheduling::exit_reason;

BOOST_AUTO_TEST_SUITE(known_causes)

namespace {

exit_report explain_last_words(const std::string& line, bool was_ready = false, int status = 256) {
  return explain_exit(
      {.was_ready = was_ready, .wait_status = status, .log_tail = {"loading", line, "bye"}});
}

}  // namespace

BOOST_AUTO_TEST_CASE(too_little_memory_is_known_by_the_words_of_each_runtime) {
  for (const std::string line :
       {"torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.",
        "RuntimeError: CUDA error: cudaErrorMemoryAllocation",
        "ggml_backend_cuda_buffer_type_alloc_buffer: cudaMalloc failed: out of memory",
        "ValueError: No available memory for the cache blocks. Try increasing",
        "ValueError: Free memory on device (10/24 GiB) is less than desired GPU memory utilization",
        "RuntimeError: HIP out of memory", "terminate called: std::bad_alloc"}) {
    for (const bool was_ready : {false, true}) {
      const auto report = explain_last_words(line, was_ready);
      BOOST_TEST((report.reason == exit_reason::oom), line);
      BOOST_TEST(report.cure.find("--max-model-len") != std::string::npos, line);
    }
  }
}

BOOST_AUTO_TEST_CASE(a_fault_of_memory_access_is_none_of_want) {
  const auto report = explain_last_words("CUDA out of memory", true, SIGSEGV);
  BOOST_TEST((report.reason == exit_reason::segfault));
  BOOST_TEST(report.cure.empty());
}

BOOST_AUTO_TEST_CASE(a_model_that_no_version_of_this_runtime_knows_is_incompatible) {
  for (const std::string line :
       {"ValueError: Model architectures ['NewForCausalLM'] are not supported for now.",
        "llama_model_load: error loading model: unknown model architecture: 'new'"}) {
    BOOST_TEST((explain_last_words(line).reason == exit_reason::model_incompatible), line);
    BOOST_TEST((explain_last_words(line, true).reason == exit_reason::crashed), line);
  }
}

BOOST_AUTO_TEST_CASE(the_cure_is_that_of_the_most_particular_words) {
  const std::pair<std::string, std::string> cases[] = {
      {"the estimated maximum model length is 4096", "context length"},
      {"OSError: [Errno 98] Address already in use", "{port}"},
      {"libcudart.so.12: cannot open shared object file: No such file or directory",
       "LD_LIBRARY_PATH"},
      {"CUDA driver version is insufficient for CUDA runtime version", "driver"},
      {"RuntimeError: No CUDA GPUs are available", "nvidia-smi"},
      {"CUDA error: no kernel image is available for execution on the device", "this GPU"},
      {"huggingface_hub.errors.GatedRepoError: 401 Client Error.", "HF_TOKEN"},
      {"Temporary failure in name resolution", "network"},
      {"OSError: [Errno 28] No space left on device", "disk"},
      {"ModuleNotFoundError: No module named 'vllm'", "Python"},
      {"FileNotFoundError: [Errno 2] No such file or directory: '/m'", "paths"},
      {"vllm: error: unrecognized arguments: --foo", "--help"},
      {"all is well", ""},
  };
  for (const auto& [line, word] : cases) {
    const std::string cure(likely_cure({line}));
    BOOST_TEST(cure.empty() == word.empty(), line);
    BOOST_TEST(cure.find(word) != std::string::npos, line << ": " << cure);
  }
  BOOST_TEST(likely_cure({}).empty());
}

BOOST_AUTO_TEST_CASE(of_a_runtime_that_was_ready_only_memory_has_a_cure) {
  BOOST_TEST(explain_last_words("No such file or directory", true).cure.empty());
  BOOST_TEST(!explain_last_words("No such file or directory").cure.empty());
}

BOOST_AUTO_TEST_CASE(a_cure_quotes_nothing_of_the_output) {
  const auto report = explain_last_words("FileNotFoundError: '/secret/path' HF_TOKEN=hf_abc");
  BOOST_TEST(!report.cure.empty());
  BOOST_TEST(report.cure.find("secret") == std::string::npos);
}

BOOST_AUTO_TEST_CASE(who_was_asked_or_killed_has_no_cure) {
  exit_facts facts{.stop_asked = true, .wait_status = 256, .log_tail = {"CUDA out of memory"}};
  BOOST_TEST(explain_exit(facts).cure.empty());
  facts.stop_asked = false;
  facts.wait_status = SIGKILL;
  BOOST_TEST(explain_exit(facts).cure.empty());
}

BOOST_AUTO_TEST_SUITE_END()
