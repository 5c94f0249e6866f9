package main

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"
)

// The parts of SPDX 2.3 that are written, in the standard's own names.
type (
	document struct {
		SPDXVersion       string         `json:"spdxVersion"`
		DataLicense       string         `json:"dataLicense"`
		SPDXID            string         `json:"SPDXID"`
		Name              string         `json:"name"`
		DocumentNamespace string         `json:"documentNamespace"`
		CreationInfo      creationInfo   `json:"creationInfo"`
		Packages          []spdxPackage  `json:"packages"`
		Relationships     []relationship `json:"relationships"`
	}
	creationInfo struct {
		Created  string   `json:"created"`
		Creators []string `json:"creators"`
	}
	spdxPackage struct {
		Name             string        `json:"name"`
		SPDXID           string        `json:"SPDXID"`
		VersionInfo      string        `json:"versionInfo"`
		DownloadLocation string        `json:"downloadLocation"`
		FilesAnalyzed    bool          `json:"filesAnalyzed"`
		LicenseConcluded string        `json:"licenseConcluded"`
		LicenseDeclared  string        `json:"licenseDeclared"`
		CopyrightText    string        `json:"copyrightText"`
		Checksums        []checksum    `json:"checksums,omitempty"`
		ExternalRefs     []externalRef `json:"externalRefs"`
	}
	checksum struct {
		Algorithm     string `json:"algorithm"`
		ChecksumValue string `json:"checksumValue"`
	}
	externalRef struct {
		ReferenceCategory string `json:"referenceCategory"`
		ReferenceType     string `json:"referenceType"`
		ReferenceLocator  string `json:"referenceLocator"`
	}
	relationship struct {
		SPDXElementID      string `json:"spdxElementId"`
		RelationshipType   string `json:"relationshipType"`
		RelatedSPDXElement string `json:"relatedSpdxElement"`
	}
)

// writeSBOM writes what a binary was made of.
func writeSBOM(w io.Writer, binary, version string, made time.Time) error {
	list, err := modules(binary)
	if err != nil {
		return err
	}
	list[0].Version = version
	d := document{
		SPDXVersion: "SPDX-2.3", DataLicense: "CC0-1.0", SPDXID: "SPDXRef-DOCUMENT", Name: "dunlin-" + version,
		DocumentNamespace: "https://github.com/dunlin-mqtt/dunlin/spdx/" + version,
		CreationInfo:      creationInfo{made.Format(time.RFC3339), []string{"Tool: dunlin-release"}},
		Relationships:     []relationship{{"SPDXRef-DOCUMENT", "DESCRIBES", identifier(0)}},
	}
	for i, m := range list {
		p := spdxPackage{
			Name: m.Path, SPDXID: identifier(i), VersionInfo: m.Version, DownloadLocation: "NOASSERTION",
			LicenseConcluded: m.Licence, LicenseDeclared: m.Licence, CopyrightText: copyright(m.Texts),
			ExternalRefs: []externalRef{{"PACKAGE-MANAGER", "purl", m.purl()}},
		}
		if sum, ok := strings.CutPrefix(m.Sum, "h1:"); ok {
			raw, err := base64.StdEncoding.DecodeString(sum)
			if err != nil {
				return fmt.Errorf("%s: its sum: %w", m.Path, err)
			}
			p.Checksums = []checksum{{"SHA256", hex.EncodeToString(raw)}}
		}
		d.Packages = append(d.Packages, p)
		if i > 0 {
			d.Relationships = append(d.Relationships, relationship{identifier(0), "CONTAINS", identifier(i)})
		}
	}
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(d)
}

func identifier(i int) string { return fmt.Sprint("SPDXRef-Package-", i) }

// copyright returns the lines of licence texts that claim it.
func copyright(texts []string) string {
	var lines []string
	for _, text := range texts {
		for line := range strings.Lines(text) {
			if line = strings.TrimSpace(line); strings.HasPrefix(line, "Copyright ") && !strings.Contains(line, "[yyyy]") && !strings.Contains(line, "{yyyy}") {
				lines = append(lines, line)
			}
		}
	}
	if len(lines) == 0 {
		return "NOASSERTION"
	}
	return strings.Join(lines, "\n")
}

// apacheOnDebian stands for a text that every Debian system has.
const apacheOnDebian = `Licensed under the Apache License, Version 2.0. On Debian systems its text is in
/usr/share/common-licenses/Apache-2.0.`

// writeLicences writes every licence, one after the other: in full, or with
// what Debian already has left out.
func writeLicences(w io.Writer, binary string, debian bool) error {
	list, err := modules(binary)
	if err != nil {
		return err
	}
	var b strings.Builder
	fmt.Fprint(&b, "dunlin and the modules inside it, with their licences.\n")
	for _, m := range list {
		name := strings.TrimSpace(m.Path + " " + m.Version)
		if m.Path == "std" {
			name = "the Go standard library " + m.Version
		}
		fmt.Fprintf(&b, "\n%s\n%s (%s)\n%s\n\n", strings.Repeat("=", 78), name, m.Licence, strings.Repeat("=", 78))
		for _, text := range m.Texts {
			if debian && licenceName(text) == "Apache-2.0" {
				text = apacheOnDebian
			}
			fmt.Fprintln(&b, strings.TrimSpace(text))
		}
	}
	_, err = io.WriteString(w, b.String())
	return err
}
