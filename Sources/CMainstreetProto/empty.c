#include "CMainstreetProto.h"
