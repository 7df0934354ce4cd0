// The plain kernels as a program, for a processor that is emulated.
//
// TYPE LENGTH WEIGHTED: reads floats (importance of the columns where WEIGHTED is 1, then rows), and
// writes how many blocks are strange, their numbers, and the bytes of all.
#include "native/kernels.h"

#include <stdio.h>
#include <stdlib.h>

int64_t uploader_kernels_encode(int level, int type, const float *x, const float *importance,
                                int64_t rows, int64_t length, uint8_t *out, int64_t *strange);

int main(int count, char **arguments) {
    if (count != 4) return 2;
    const int type = atoi(arguments[1]), weighted = atoi(arguments[3]);
    const int64_t length = atoi(arguments[2]);
    float *floats = malloc(16 << 20);
    const int64_t found = (int64_t)fread(floats, 4, 4 << 20, stdin);
    const int64_t rows = found / length - weighted;
    uint8_t *out = calloc((size_t)(rows * length), 2);
    int64_t *strange = calloc((size_t)(rows * length), 8);
    const int64_t odd = uploader_kernels_encode(0, type, floats + weighted * length, weighted ? floats : 0,
                                                rows, length, out, strange);
    fwrite(&odd, 8, 1, stdout);
    fwrite(strange, 8, (size_t)odd, stdout);
    fwrite(out, 2, (size_t)(rows * length), stdout);
    return 0;
}
