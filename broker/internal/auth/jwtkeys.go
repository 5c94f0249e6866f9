package auth

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
)

const (
	maxKeysFile = 1 << 20
	minSecret   = 32 // bytes, RFC 7518 section 3.2
)

// read reads the key file.
func (j *JWT) read(anyOwner bool) (*keys, error) {
	b, err := readFile(j.Keys, maxKeysFile, false, anyOwner)
	if err != nil {
		return nil, err
	}
	k := &keys{userClaim: j.UserClaim, audience: j.Audience}
	if k.userClaim == "" {
		k.userClaim = "sub"
	}
	if k.list, err = parseKeys(b); err != nil {
		return nil, Faults{{File: j.Keys, Msg: err.Error()}}
	}
	for _, key := range k.list {
		if key.secret != nil { // it signs as well as it verifies
			if _, err := readFile(j.Keys, maxKeysFile, true, anyOwner); err != nil {
				return nil, err
			}
		}
	}
	return k, nil
}

// parseKeys reads a JSON Web Key Set, PEM public keys, or a secret.
func parseKeys(b []byte) (list []key, err error) {
	trimmed := bytes.TrimSpace(b)
	switch {
	case bytes.HasPrefix(trimmed, []byte("{")):
		list, err = parseJWKS(trimmed)
	case bytes.Contains(trimmed, []byte("-----BEGIN ")):
		list, err = parsePEM(trimmed)
	case !isSecret(trimmed):
		err = errors.New("no key set, no PEM, and no secret: one word of ASCII; one of other bytes is a key of kty oct in a set")
	default:
		list = []key{{algorithm: "HS256", secret: trimmed}}
	}
	if err != nil {
		return nil, err
	}
	if len(list) == 0 {
		return nil, errors.New("it holds no key for RS256, ES256, EdDSA or HS256")
	}
	for i := range list {
		if err := list[i].validate(); err != nil {
			return nil, fmt.Errorf("key %d: %w", i+1, err)
		}
	}
	return list, nil
}

// isSecret reports whether a file that is nothing else may be a secret. What
// others know must not become one by mistake: the page of an error that was
// saved as the key set, the set's address, a public key in another format.
func isSecret(b []byte) bool {
	return !bytes.Contains(b, []byte("://")) && !bytes.ContainsFunc(b, func(r rune) bool { return r <= ' ' || r == '<' || r > '~' })
}

func (k *key) validate() error {
	switch p := k.public.(type) {
	case nil:
		if len(k.secret) < minSecret {
			return fmt.Errorf("a secret of HS256 has at least %d bytes", minSecret)
		}
	case *rsa.PublicKey:
		if n := p.N.BitLen(); n < 2048 || n > 8192 {
			return fmt.Errorf("an RSA key has 2048 to 8192 bits, not %d", n)
		}
		if p.E < 3 || p.E%2 == 0 {
			return errors.New("the RSA exponent is not odd, or below 3")
		}
	}
	return nil
}

// parsePEM reads public keys and certificates.
func parsePEM(b []byte) (list []key, err error) {
	for {
		var block *pem.Block
		if block, b = pem.Decode(b); block == nil {
			return list, nil
		}
		var public any
		switch block.Type {
		case "PUBLIC KEY":
			public, err = x509.ParsePKIXPublicKey(block.Bytes)
		case "CERTIFICATE":
			var cert *x509.Certificate
			if cert, err = x509.ParseCertificate(block.Bytes); err == nil {
				public = cert.PublicKey
			}
		default:
			return nil, fmt.Errorf("a PEM block %q: only PUBLIC KEY and CERTIFICATE belong here", block.Type)
		}
		if err != nil {
			return nil, err
		}
		algorithm, err := algorithmOf(public)
		if err != nil {
			return nil, err
		}
		list = append(list, key{algorithm: algorithm, public: public})
	}
}

// algorithmOf returns the one algorithm that a public key is for.
func algorithmOf(public any) (string, error) {
	switch p := public.(type) {
	case *rsa.PublicKey:
		return "RS256", nil
	case *ecdsa.PublicKey:
		if p.Curve == elliptic.P256() {
			return "ES256", nil
		}
		return "", errors.New("only the curve P-256 is known")
	case ed25519.PublicKey:
		return "EdDSA", nil
	}
	return "", errors.New("only RSA, P-256 and Ed25519 keys are known")
}

// jwk is one JSON Web Key (RFC 7517, 7518, 8037).
type jwk struct {
	Type      string `json:"kty"`
	Use       string `json:"use"`
	Algorithm string `json:"alg"`
	ID        string `json:"kid"`
	Curve     string `json:"crv"`
	N         string `json:"n"`
	E         string `json:"e"`
	X         string `json:"x"`
	Y         string `json:"y"`
	K         string `json:"k"`
	D         string `json:"d"` // private
}

// unknownKey is a key of a kind that is not known here, which others in a set
// may be (RFC 7517, section 5).
type unknownKey string

func (u unknownKey) Error() string { return string(u) }

// parseJWKS reads a key set. Keys for other purposes or of other kinds are left
// out; the error says so when no other is left.
func parseJWKS(b []byte) (list []key, err error) {
	var set struct {
		Keys []jwk `json:"keys"`
	}
	if err := json.Unmarshal(b, &set); err != nil {
		return nil, errors.New("no JSON Web Key Set: " + err.Error())
	}
	var left error
	for i, j := range set.Keys {
		if j.Use != "" && j.Use != "sig" {
			continue
		}
		k, err := j.key()
		var unknown unknownKey
		if err != nil {
			err = fmt.Errorf("key %d: %w", i+1, err)
			if !errors.As(err, &unknown) {
				return nil, err
			}
			left = err
			continue
		}
		if j.Algorithm != "" && j.Algorithm != k.algorithm {
			continue // the issuer says that it is for something else
		}
		list = append(list, k)
	}
	if len(list) == 0 {
		return nil, left
	}
	return list, nil
}

func (j *jwk) key() (k key, err error) {
	k.id = j.ID
	if j.D != "" {
		return k, errors.New("it is a private key: only the public part belongs here")
	}
	switch j.Type {
	case "oct":
		k.algorithm = "HS256"
		if k.secret, err = base64URL.DecodeString(j.K); err != nil {
			return k, errors.New("k is no base64url")
		}
		return k, nil
	case "RSA":
		n, errN := base64URL.DecodeString(j.N)
		e, errE := base64URL.DecodeString(j.E)
		if errN != nil || errE != nil || len(e) == 0 || len(e) > 4 {
			return k, errors.New("n or e is wrong")
		}
		exponent := new(big.Int).SetBytes(e).Int64()
		if exponent >= 1<<31 {
			return k, errors.New("e is too large")
		}
		k.public = &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(exponent)}
	case "EC":
		if k.public, err = j.point(); err != nil {
			return k, err
		}
	case "OKP":
		x, err := base64URL.DecodeString(j.X)
		switch {
		case j.Curve != "Ed25519":
			return k, unknownKey("of kty OKP only crv Ed25519 is known")
		case err != nil || len(x) != ed25519.PublicKeySize:
			return k, errors.New("the x of an Ed25519 key is 32 bytes")
		}
		k.public = ed25519.PublicKey(x)
	default:
		return k, unknownKey("only kty RSA, EC, OKP and oct are known")
	}
	k.algorithm, err = algorithmOf(k.public)
	return k, err
}

// point reads a point of P-256 and checks that it is one.
func (j *jwk) point() (*ecdsa.PublicKey, error) {
	x, errX := base64URL.DecodeString(j.X)
	y, errY := base64URL.DecodeString(j.Y)
	switch {
	case j.Curve != "P-256":
		return nil, unknownKey("of kty EC only crv P-256 is known")
	case errX != nil || errY != nil || len(x) != 32 || len(y) != 32:
		return nil, errors.New("x and y of a P-256 key are 32 bytes")
	}
	return ecdsa.ParseUncompressedPublicKey(elliptic.P256(), append(append([]byte{4}, x...), y...))
}
