# SPDX-License-Identifier: MIT
# Cross-building for arm64 Linux on another machine: Debian's gcc-aarch64-linux-gnu, and the arm64 packages
# libc6-dev, linux-libc-dev, libxen-dev, liburing-dev, libjansson-dev and check, with what they depend on,
# unpacked in the directory that VGRANT_SYSROOT names (for the preset: in the environment).
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(triplet aarch64-linux-gnu)
set(CMAKE_C_COMPILER ${triplet}-gcc)
set(CMAKE_LIBRARY_ARCHITECTURE ${triplet})

list(APPEND CMAKE_TRY_COMPILE_PLATFORM_VARIABLES VGRANT_SYSROOT)
if(NOT EXISTS "${VGRANT_SYSROOT}/usr/include/xengnttab.h")
	message(FATAL_ERROR "VGRANT_SYSROOT='${VGRANT_SYSROOT}' holds no arm64 packages; tests/lab/run arm64 makes such a directory")
endif()

set(CMAKE_SYSROOT "${VGRANT_SYSROOT}")
set(ENV{PKG_CONFIG_SYSROOT_DIR} "${VGRANT_SYSROOT}")
set(ENV{PKG_CONFIG_LIBDIR} "${VGRANT_SYSROOT}/usr/lib/${triplet}/pkgconfig:${VGRANT_SYSROOT}/usr/share/pkgconfig")
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
