#include <libpq-fe.h>

// What the thread that drives libpq needs and the Glibc module leaves out.
#include <sys/eventfd.h>
#include <sys/prctl.h>

// At most 15 bytes are kept.
static inline void mainstreet_name_thread(const char *name) { prctl(PR_SET_NAME, name, 0, 0, 0); }

static inline int mainstreet_eventfd(void) { return eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK); }
