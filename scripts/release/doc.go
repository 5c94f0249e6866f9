// Release makes what goes beside the binaries of a release: a list of the
// modules inside (SPDX), their licences, and a container image. The same input
// gives the same bytes.
//
//	release sbom BINARY >dunlin.spdx.json
//	release licences BINARY >LICENCES.txt
//	release copyright BINARY >copyright (as Debian wants it)
//	release version deb|apk VERSION (as that kind of package orders it; deb's is rpm's and ipk's, too)
//	release oci OUT.tar CERTIFICATES ARCH=BINARY...
//
// SOURCE_DATE_EPOCH is the time written into them; VERSION the version.
package main
