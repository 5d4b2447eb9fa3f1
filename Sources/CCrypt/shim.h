#include <crypt.h>
// explicit_bzero, which the Glibc module leaves out.
#include <string.h>
