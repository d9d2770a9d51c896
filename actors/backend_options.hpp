// What a model's configuration means for its backends.
#pragma once

#include "config/settings.hpp"
#include "scheduling/gpu_set.hpp"
#include "scheduling/model_lifecycle.hpp"

namespace signalbox {

// Tells whether the model is always kept ready. Pinned models are, and so are external ones: they
// cost nothing here, and being ready is how they are watched.
bool is_kept_ready(const config::model_options& m);

scheduling::lifecycle_options lifecycle_of(const config::settings& s,
                                           const config::model_options& m);

scheduling::gpu_need need_of(const config::model_options& m);

}  // namespace signalbox
