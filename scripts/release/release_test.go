package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

var made = time.Unix(1_700_000_000, 0).UTC()

// files reads a tar archive.
func files(t *testing.T, archive []byte) map[string][]byte {
	t.Helper()
	all := map[string][]byte{}
	r := tar.NewReader(bytes.NewReader(archive))
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		if !h.ModTime.Equal(made) {
			t.Errorf("%s has the time %v", h.Name, h.ModTime)
		}
		if all[h.Name], err = io.ReadAll(r); err != nil {
			t.Fatal(err)
		}
	}
}

func decode[T any](t *testing.T, text []byte) (v T) {
	t.Helper()
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return v
}

// follow returns the blob that a descriptor names, which must be what it says.
func follow(t *testing.T, all map[string][]byte, d descriptor) []byte {
	t.Helper()
	data, ok := all["blobs/sha256/"+strings.TrimPrefix(d.Digest, "sha256:")]
	if !ok || digest(data) != d.Digest || len(data) != d.Size {
		t.Fatalf("%+v: found %v, %d bytes, %s", d, ok, len(data), digest(data))
	}
	return data
}

func TestImageIsALayoutThatHoldsTogether(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"certs": "CERTS", "terms": "TERMS", "a": "program a", "b": "program b"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	build := func() []byte {
		var b bytes.Buffer
		err := writeImage(&b, filepath.Join(dir, "certs"), filepath.Join(dir, "terms"), []string{"amd64=" + filepath.Join(dir, "a"), "armv6=" + filepath.Join(dir, "b")}, "1.2.3", made)
		if err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	first := build()
	if !bytes.Equal(first, build()) {
		t.Error("two builds differ")
	}
	all := files(t, first)
	type index struct{ Manifests []descriptor }
	top := decode[index](t, all["index.json"])
	list := decode[index](t, follow(t, all, top.Manifests[0]))
	if len(list.Manifests) != 2 || list.Manifests[1].Platform.Variant != "v6" {
		t.Fatalf("%+v", list)
	}
	for i, m := range list.Manifests {
		manifest := decode[struct {
			Config descriptor
			Layers []descriptor
		}](t, follow(t, all, m))
		config := decode[struct {
			RootFS struct {
				DiffIDs []string `json:"diff_ids"`
			}
			Config struct{ User string }
		}](t, follow(t, all, manifest.Config))
		z, err := gzip.NewReader(bytes.NewReader(follow(t, all, manifest.Layers[0])))
		if err != nil {
			t.Fatal(err)
		}
		layer, err := io.ReadAll(z)
		if err != nil || config.RootFS.DiffIDs[0] != digest(layer) || config.Config.User != "65532:65532" {
			t.Fatal(err, config)
		}
		root := files(t, layer)
		if got := string(root["usr/bin/dunlin"]); got != []string{"program a", "program b"}[i] || string(root["etc/ssl/certs/ca-certificates.crt"]) != "CERTS" || string(root["usr/share/licenses/dunlin/LICENCES.txt"]) != "TERMS" {
			t.Errorf("platform %d holds %q", i, got)
		}
	}
	if err := writeImage(io.Discard, filepath.Join(dir, "certs"), filepath.Join(dir, "terms"), []string{"vax=x"}, "", made); err == nil {
		t.Error("a platform nobody knows was taken")
	}
}

func TestLicencesAreNamed(t *testing.T) {
	for text, want := range map[string]string{
		"                                 Apache License\n                           Version 2.0, January 2004": "Apache-2.0",
		"Permission is hereby granted, free of\ncharge, to any person":                                          "MIT",
		"Redistribution and use in source and binary forms ... may be used to endorse or promote products":      "BSD-3-Clause",
		"Redistribution and use in source and binary forms ...":                                                 "BSD-2-Clause",
		"GNU GENERAL PUBLIC LICENSE": "",
	} {
		if got := licenceName(text); got != want {
			t.Errorf("%.30q is %q, want %q", text, got, want)
		}
	}
}

// The test binary is made of modules too.
func TestSBOMAndLicencesOfABinary(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	list, err := modules(self)
	if err != nil {
		t.Fatal(err)
	}
	if list[0].Path != "github.com/dunlin-mqtt/dunlin" || list[0].Licence != "Apache-2.0" || list[len(list)-1].Licence != "BSD-3-Clause" {
		t.Errorf("%+v", list)
	}
	var b, again bytes.Buffer
	if err := errors.Join(writeSBOM(&b, self, "1.2.3", made), writeSBOM(&again, self, "1.2.3", made)); err != nil {
		t.Fatal(err)
	}
	d := decode[document](t, b.Bytes())
	if d.SPDXVersion != "SPDX-2.3" || d.CreationInfo.Created != "2023-11-14T22:13:20Z" || len(d.Packages) != len(list) || !bytes.Equal(b.Bytes(), again.Bytes()) {
		t.Errorf("%+v", d)
	}
	ids, purls := []string{}, ""
	for _, p := range d.Packages {
		purls += p.ExternalRefs[0].ReferenceLocator + "\n"
		ids = append(ids, p.SPDXID)
	}
	for _, r := range d.Relationships {
		if !slices.Contains(ids, r.RelatedSPDXElement) {
			t.Errorf("%+v leads nowhere", r)
		}
	}
	for _, want := range []string{"pkg:npm/preact@", "pkg:npm/uplot@", "pkg:golang/std@1."} {
		if !strings.Contains(purls, want) {
			t.Errorf("no %s in\n%s", want, purls)
		}
	}
	var full, debian bytes.Buffer
	if err := errors.Join(writeLicences(&full, self, false), writeLicences(&debian, self, true)); err != nil {
		t.Fatal(err)
	}
	const clause = "Grant of Copyright License"
	if !strings.Contains(full.String(), clause) || !strings.Contains(full.String(), "the Go standard library") || !strings.Contains(debian.String(), "Leon Sorokin") || strings.Contains(debian.String(), clause) {
		t.Error(full.Len(), debian.Len())
	}
}
