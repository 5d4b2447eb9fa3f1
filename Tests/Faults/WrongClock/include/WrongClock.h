// Loaded into a program beforehand (LD_PRELOAD), has its wall clock show another time: off by as many seconds as the
// file WRONG_CLOCK names begins with, a binary int64, at any time. The clocks that only count how much time passes stay
// right, as when somebody sets the time of a machine.
