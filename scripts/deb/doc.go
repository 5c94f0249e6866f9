// Deb installs dunlin's Debian package on an emulated machine with Debian and
// its systemd, and does to it what happens to packages: it is installed,
// upgraded, upgraded to one that does not install, killed, stopped, removed,
// purged. Then it goes the way of somebody with a new machine, who types only
// what the step before printed, while somebody in the network without a
// password tries every port that is open.
//
//	deb -guest DIR dunlin_VERSION_arm64.deb
//
// scripts/guest.sh makes DIR. "make deb-test" does both.
package main
