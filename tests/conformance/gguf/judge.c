/* Copyright (c) 2026, gguf.fleet contributors
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Asks llama.cpp's own reader about GGUF files, one line each: accept, reject, or abort where it ends the process.
 * The reader is asked as the model loader and llama-gguf-split ask it; then each tensor's end is compared with the
 * file's length, as the loader (llama-model-loader) does and llama-gguf-split does not.
 */
#include <stdint.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <ggml.h>
#include <gguf.h>

static int verdict(const char * path) {
    struct ggml_context * meta = NULL;
    struct gguf_init_params params = {.no_alloc = true, .ctx = &meta};
    struct gguf_context * gguf = gguf_init_from_file(path, params);
    if (gguf == NULL) {
        return 1;
    }
    struct stat status;
    if (stat(path, &status) != 0) {
        return 2;
    }
    for (int64_t i = 0; i < gguf_get_n_tensors(gguf); i++) {
        const size_t end = gguf_get_data_offset(gguf) + gguf_get_tensor_offset(gguf, i) + gguf_get_tensor_size(gguf, i);
        if (end > (size_t) status.st_size) {
            return 1;
        }
    }
    return 0;
}

int main(int argc, char ** argv) {
    for (int i = 1; i < argc; i++) {
        fflush(stdout);
        const pid_t child = fork();
        if (child == 0) {
            _exit(verdict(argv[i]));
        }
        int status = 0;
        waitpid(child, &status, 0);
        const char * word = WIFSIGNALED(status)           ? "abort"
                            : WEXITSTATUS(status) == 0    ? "accept"
                            : WEXITSTATUS(status) == 1    ? "reject"
                                                          : "error";
        printf("%s %s\n", word, argv[i]);
    }
    return 0;
}
