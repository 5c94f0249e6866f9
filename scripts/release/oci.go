package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// User of the program in the image: no name, no password, no shell.
const imageUser = 65532

// descriptor points at a blob (OCI image specification 1.1).
type descriptor struct {
	MediaType   string            `json:"mediaType"`
	Digest      string            `json:"digest"`
	Size        int               `json:"size"`
	Platform    *platform         `json:"platform,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

type platform struct {
	Architecture string `json:"architecture"`
	OS           string `json:"os"`
	Variant      string `json:"variant,omitempty"`
}

// platforms are the names that containers have for our architectures.
var platforms = map[string]platform{
	"amd64": {"amd64", "linux", ""}, "arm64": {"arm64", "linux", "v8"}, "armv7": {"arm", "linux", "v7"},
	"armv6": {"arm", "linux", "v6"}, "riscv64": {"riscv64", "linux", ""},
}

// image collects the blobs of an OCI layout in one tar archive.
type image struct {
	tar  *tar.Writer
	made time.Time
	have map[string]bool
}

// writeImage writes an OCI layout with one image for each ARCH=BINARY: the
// program, the certificates, the licences, an empty state directory.
func writeImage(w io.Writer, certificates, licences string, binaries []string, version string, made time.Time) error {
	certs, err := os.ReadFile(certificates)
	if err != nil {
		return err
	}
	terms, err := os.ReadFile(licences)
	if err != nil {
		return err
	}
	img := &image{tar: tar.NewWriter(w), made: made, have: map[string]bool{}}
	if err := img.file("oci-layout", []byte(`{"imageLayoutVersion":"1.0.0"}`)); err != nil {
		return err
	}
	var manifests []descriptor
	for _, b := range binaries {
		arch, file, _ := strings.Cut(b, "=")
		p, ok := platforms[arch]
		if !ok {
			return fmt.Errorf("%s: no container platform of that name", arch)
		}
		program, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		m, err := img.manifest(p, program, certs, terms, version)
		if err != nil {
			return err
		}
		manifests = append(manifests, m)
	}
	list, err := img.blob("application/vnd.oci.image.index.v1+json", map[string]any{
		"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": manifests,
	})
	if err != nil {
		return err
	}
	list.Annotations = map[string]string{"org.opencontainers.image.ref.name": version}
	index, err := json.Marshal(map[string]any{"schemaVersion": 2, "manifests": []descriptor{list}})
	if err != nil {
		return err
	}
	if err := img.file("index.json", index); err != nil {
		return err
	}
	return img.tar.Close()
}

// manifest writes the blobs of one platform.
func (img *image) manifest(p platform, program, certs, terms []byte, version string) (descriptor, error) {
	plain, packed, err := img.layer(program, certs, terms)
	if err != nil {
		return descriptor{}, err
	}
	layer, err := img.raw("application/vnd.oci.image.layer.v1.tar+gzip", packed)
	if err != nil {
		return descriptor{}, err
	}
	config, err := img.blob("application/vnd.oci.image.config.v1+json", map[string]any{
		"created": img.made.Format(time.RFC3339), "architecture": p.Architecture, "os": p.OS, "variant": p.Variant,
		"config": map[string]any{
			"User": fmt.Sprintf("%d:%d", imageUser, imageUser), "Entrypoint": []string{"/usr/bin/dunlin"}, "Cmd": []string{"run"},
			"Env": []string{"PATH=/usr/bin", "STATE_DIRECTORY=/var/lib/dunlin"}, "WorkingDir": "/var/lib/dunlin",
			"Volumes": map[string]any{"/var/lib/dunlin": struct{}{}}, "ExposedPorts": map[string]any{"1883/tcp": struct{}{}, "8883/tcp": struct{}{}},
			"Labels": map[string]string{"org.opencontainers.image.title": "dunlin", "org.opencontainers.image.version": version, "org.opencontainers.image.licenses": "Apache-2.0"},
		},
		"rootfs": map[string]any{"type": "layers", "diff_ids": []string{digest(plain)}},
	})
	if err != nil {
		return descriptor{}, err
	}
	m, err := img.blob("application/vnd.oci.image.manifest.v1+json", map[string]any{
		"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "config": config, "layers": []descriptor{layer},
	})
	m.Platform = &p
	return m, err
}

// layer is the file system of the image, plain and gzipped.
func (img *image) layer(program, certs, terms []byte) (plain, packed []byte, err error) {
	var b bytes.Buffer
	t := tar.NewWriter(&b)
	for _, f := range []struct {
		name string
		mode int64
		user int
		data []byte
	}{
		{"usr/", 0o755, 0, nil}, {"usr/bin/", 0o755, 0, nil}, {"usr/bin/dunlin", 0o755, 0, program},
		{"etc/", 0o755, 0, nil}, {"etc/dunlin/", 0o755, 0, nil}, {"etc/ssl/", 0o755, 0, nil}, {"etc/ssl/certs/", 0o755, 0, nil},
		{"etc/ssl/certs/ca-certificates.crt", 0o644, 0, certs},
		{"usr/share/", 0o755, 0, nil}, {"usr/share/licenses/", 0o755, 0, nil}, {"usr/share/licenses/dunlin/", 0o755, 0, nil}, {"usr/share/licenses/dunlin/LICENCES.txt", 0o644, 0, terms},
		{"var/", 0o755, 0, nil}, {"var/lib/", 0o755, 0, nil}, {"var/lib/dunlin/", 0o750, imageUser, nil}, {"tmp/", 0o1777, 0, nil},
	} {
		h := &tar.Header{Name: f.name, Mode: f.mode, Uid: f.user, Gid: f.user, Size: int64(len(f.data)), ModTime: img.made, Format: tar.FormatUSTAR, Typeflag: tar.TypeReg}
		if strings.HasSuffix(f.name, "/") {
			h.Typeflag = tar.TypeDir
		}
		if err := t.WriteHeader(h); err != nil {
			return nil, nil, err
		}
		if _, err := t.Write(f.data); err != nil {
			return nil, nil, err
		}
	}
	if err := t.Close(); err != nil {
		return nil, nil, err
	}
	var z bytes.Buffer
	gz, err := gzip.NewWriterLevel(&z, gzip.BestCompression)
	if err != nil {
		return nil, nil, err
	}
	if _, err := gz.Write(b.Bytes()); err != nil {
		return nil, nil, err
	}
	if err := gz.Close(); err != nil {
		return nil, nil, err
	}
	return b.Bytes(), z.Bytes(), nil
}

// blob writes a value as JSON under its digest.
func (img *image) blob(mediaType string, v any) (descriptor, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return descriptor{}, err
	}
	return img.raw(mediaType, text)
}

func (img *image) raw(mediaType string, data []byte) (descriptor, error) {
	d := descriptor{MediaType: mediaType, Digest: digest(data), Size: len(data)}
	name := "blobs/sha256/" + strings.TrimPrefix(d.Digest, "sha256:")
	if img.have[name] {
		return d, nil
	}
	img.have[name] = true
	return d, img.file(name, data)
}

func (img *image) file(name string, data []byte) error {
	h := &tar.Header{Name: name, Mode: 0o644, Size: int64(len(data)), ModTime: img.made, Format: tar.FormatUSTAR}
	if err := img.tar.WriteHeader(h); err != nil {
		return err
	}
	_, err := img.tar.Write(data)
	return err
}

func digest(data []byte) string {
	sum := sha256.Sum256(data)
	return "sha256:" + hex.EncodeToString(sum[:])
}
