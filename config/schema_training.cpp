// The options of training. Those of seed 000 have its variables.
#include "config/schema_row.hpp"

namespace signalbox::config {
namespace {

void add_trainer(std::vector<option>& out) {
  using t = training_options;
  out.push_back(row("training.driver", &t::driver, 0, 0,
                    "docker: the trainer is a container of yours, which the gateway starts and "
                    "stops, and never creates or removes; process: a program that it starts.",
                    {.words = trainer_driver_words}));
  out.push_back(row("training.container", &t::container, 1, name_bytes,
                    "Name of the trainer's container (driver docker).",
                    {.variable = "LENTMIIEN_TRAIN_CONTAINER_NAME"}));
  out.push_back(row("training.command", &t::command, 0, 1000,
                    "Program and arguments (driver process); {data} is replaced.",
                    {.multiline = true}));
  out.push_back(row("training.environment", &t::environment, 0, 1000,
                    "NAME=VALUE entries added to the trainer's minimal environment (driver "
                    "process).",
                    {.multiline = true}));
  out.push_back(row("training.checkpoints_dir", &t::checkpoints_dir, 1, text_bytes,
                    "Folder with a folder for each checkpoint; it is only read.",
                    {.variable = "LENTMIIEN_CHECKPOINTS_DIR"}));
  out.push_back(row("training.status_file", &t::status_file, 1, name_bytes,
                    "Name of the file in a checkpoint's folder by which the trainer tells how it "
                    "is."));
  out.push_back(row("training.status_format", &t::status_format, 0, 0,
                    "json: it has at least state and time; heartbeat: its time of modification "
                    "alone counts.",
                    {.words = status_format_words}));
}

void add_times(std::vector<option>& out) {
  using t = training_options;
  out.push_back(row("training.poll_s", &t::poll_s, 0.05, 3600,
                    "Time between two looks at the status and the trainer.",
                    {.variable = "LENTMIIEN_MONITOR_POLL_SEC"}));
  out.push_back(row("training.frozen_timeout_s", &t::frozen_timeout_s, 0.1, day_s,
                    "A trainer that runs, and whose time does not change for longer, is started "
                    "again; above poll_s.",
                    {.variable = "LENTMIIEN_FROZEN_TIMEOUT_SEC"}));
  out.push_back(row("training.cooldown_s", &t::cooldown_s, 0, day_s,
                    "Time without a request for a GPU until the trainer is started again.",
                    {.variable = "LENTMIIEN_COOLDOWN_SEC"}));
  out.push_back(row("training.stop_signal", &t::stop_signal, 0, 0, "Signal that stops the trainer.",
                    {.words = signal_words}));
  out.push_back(row("training.stop_grace_s", &t::stop_grace_s, 0, 3600,
                    "Time between the stop signal and SIGKILL.",
                    {.variable = "LENTMIIEN_TRAIN_STOP_TIMEOUT_SEC"}));
  out.push_back(row("training.checkpoint_signal", &t::checkpoint_signal, 0, 0,
                    "Signal that asks the trainer to save, with checkpoint_wait_s.",
                    {.words = signal_words}));
  out.push_back(row("training.checkpoint_wait_s", &t::checkpoint_wait_s, 0, 3600,
                    "Longest time that the trainer may save before it is stopped; it is over once "
                    "its state is saved. 0 does not ask it to save."));
  out.push_back(row("training.start_timeout_s", &t::start_timeout_s, 1, 3600,
                    "Time from the start of the trainer until it is seen to run."));
  out.push_back(row("training.backoff_s", &t::backoff_s, 0.01, 3600,
                    "Pause after a crash or a freeze; doubles with each in a row."));
  out.push_back(row("training.backoff_max_s", &t::backoff_max_s, 0.01, day_s,
                    "Longest such pause; at least backoff_s. A run that lasts as long ends the "
                    "row."));
}

void add_gpus(std::vector<option>& out) {
  using t = training_options;
  out.push_back(row("training.over_pinned", &t::over_pinned, 0, 0,
                    "Pinned models that have been idle for cooldown_s make room for the trainer, "
                    "too."));
  out.push_back(row("training.gpu.memory", &t::gpu_memory, 0, 1024.0 * 1024 * gib,
                    "Memory that the trainer takes on each of its GPUs; 0 takes all."));
  out.push_back(row("training.gpu.count", &t::gpu_count, 0, 64,
                    "Number of its GPUs; 0 takes all. A trainer that takes less than everything "
                    "is stopped for room only, not for each request."));
}

void add_tensorboard(std::vector<option>& out) {
  using t = tensorboard_options;
  out.push_back(row("training.tensorboard.container", &t::container, 1, name_bytes,
                    "Name of TensorBoard's container.",
                    {.variable = "LENTMIIEN_TENSORBOARD_CONTAINER_NAME"}));
  out.push_back(row("training.tensorboard.url", &t::url, 1, text_bytes,
                    "Where TensorBoard answers: http://HOST:PORT, with or without a path.",
                    {.variable = "LENTMIIEN_TENSORBOARD_URL"}));
}

}  // namespace

void add_training_options(std::vector<option>& out) {
  add_trainer(out);
  add_times(out);
  add_gpus(out);
  add_tensorboard(out);
}

}  // namespace signalbox::config
