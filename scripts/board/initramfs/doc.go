// Package initramfs makes the first file system of an emulated board or of an
// image: an archive, and what of a Debian kernel's modules goes into it.
package initramfs
