// States are gigabytes read at random; in pages of 4 KB the processor spends a tenth of its time on finding them.
#pragma once

namespace bellwether {

// Has the C library ask the kernel for large pages, which it does by a variable that it reads as a program starts:
// where the kernel gives them to whoever asks (/sys/kernel/mm/transparent_hugepage/enabled says madvise) and
// GLIBC_TUNABLES is not set, starts this program once more with it set and does not return. Everywhere else, and where
// that fails, returns and changes nothing. To be called first in main, before there are threads or open files.
void restart_with_large_pages(char** argv);

}  // namespace bellwether
