/* SPDX-License-Identifier: Apache-2.0 */
/* The lessons that run whole models. Their rows are here so that the list is complete and the refusal is one clear line. */
#include "lesson.h"

const lesson lesson_models = {.id = "10", .title = "Quantize any open-source model", .teaches = "a code model and a detector, before and after", .needs = "the engine that runs codegen-350M and detr-resnet-50"};
const lesson lesson_hub = {.id = "11", .title = "Load quantized weights from the Hub", .teaches = "quantize once, load small", .needs = "the engine that runs opt-125m"};
const lesson lesson_quanto = {.id = "F4", .title = "Linear quantization with quanto", .teaches = "quantize, freeze, and the size of every module", .needs = "the engine that runs flan-t5-small and pythia-410m"};
