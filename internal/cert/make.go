package cert

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"time"

	"github.com/glassq/glassq/internal/whole"
)

// authorityLife is how long a private authority lives.
const authorityLife = 10 * 365 * 24 * time.Hour

// An Authority signs certificates. Its key is in a file of its own.
type Authority struct {
	Made bool // it was not there before
	File string

	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// OpenAuthority reads the authority in a folder, ca.pem and ca-key.pem, or makes it there.
func OpenAuthority(dir string, now time.Time) (*Authority, error) {
	a := &Authority{File: filepath.Join(dir, "ca.pem")}
	keyFile := filepath.Join(dir, "ca-key.pem")
	_, errCert := os.Stat(a.File)
	_, errKey := os.Stat(keyFile)
	if errors.Is(errCert, fs.ErrNotExist) && errors.Is(errKey, fs.ErrNotExist) {
		return a, a.make(keyFile, now)
	}
	if errCert != nil || errKey != nil {
		return nil, fmt.Errorf("an authority is two files: %w", errors.Join(errCert, errKey))
	}
	var err error
	if a.cert, err = readPEM(a.File, "CERTIFICATE", x509.ParseCertificate); err != nil {
		return nil, err
	}
	key, err := readPEM(keyFile, "PRIVATE KEY", x509.ParsePKCS8PrivateKey)
	if err != nil {
		return nil, err
	}
	var ok bool
	if a.key, ok = key.(*ecdsa.PrivateKey); !ok || !a.cert.IsCA || !a.key.PublicKey.Equal(a.cert.PublicKey) {
		return nil, fmt.Errorf("%s is not the key of an authority that glassq made, %s", keyFile, a.File)
	}
	return a, nil
}

func readPEM[T any](path, kind string, parse func([]byte) (T, error)) (v T, err error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return v, err
	}
	block, _ := pem.Decode(text)
	if block == nil || block.Type != kind {
		return v, fmt.Errorf("%s does not begin with a PEM %s", path, kind)
	}
	if v, err = parse(block.Bytes); err != nil {
		return v, fmt.Errorf("%s: %w", path, err)
	}
	return v, nil
}

func (a *Authority) make(keyFile string, now time.Time) (err error) {
	a.Made = true
	t := template("glassq private authority", now, authorityLife)
	t.IsCA, t.BasicConstraintsValid, t.MaxPathLenZero = true, true, true
	t.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	if a.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		return err
	}
	a.cert = t
	return a.sign(t, a.key, a.File, keyFile)
}

func template(name string, now time.Time, life time.Duration) *x509.Certificate {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		panic("cert: no random numbers: " + err.Error()) // which Go's rand.Reader never does
	}
	return &x509.Certificate{SerialNumber: serial, Subject: pkix.Name{CommonName: name},
		NotBefore: now.Add(-time.Hour), // clocks differ
		NotAfter:  now.Add(life)}
}

// ForHost makes the certificate of a server with names, the first of which the files are called by:
// <name>.pem and <name>-key.pem. Those of before are replaced.
func (a *Authority) ForHost(dir string, names []string, now time.Time, life time.Duration) (certFile, keyFile string,
	err error) {
	t := template(names[0], now, life)
	t.DNSNames, t.IPAddresses = hostsOf(names)
	t.KeyUsage, t.ExtKeyUsage = x509.KeyUsageDigitalSignature, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	return a.issue(dir, names[0], t)
}

// ForClient makes the certificate of a client, with the name of a token.
func (a *Authority) ForClient(dir, name string, now time.Time, life time.Duration) (certFile, keyFile string,
	err error) {
	t := template(name, now, life)
	t.KeyUsage, t.ExtKeyUsage = x509.KeyUsageDigitalSignature, []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	return a.issue(dir, name, t)
}

func (a *Authority) issue(dir, name string, t *x509.Certificate) (certFile, keyFile string, err error) {
	if t.NotAfter.After(a.cert.NotAfter) {
		return "", "", fmt.Errorf(
			"the authority ends on %s, before the certificate would; make a new authority in another folder",
			day(a.cert.NotAfter))
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", "", err
	}
	certFile, keyFile = filepath.Join(dir, name+".pem"), filepath.Join(dir, name+"-key.pem")
	return certFile, keyFile, a.sign(t, key, certFile, keyFile)
}

// sign writes the certificate of a key, and the key, which only the owner may read.
func (a *Authority) sign(t *x509.Certificate, key *ecdsa.PrivateKey, certFile, keyFile string) error {
	der, err := x509.CreateCertificate(rand.Reader, t, a.cert, &key.PublicKey, a.key)
	if err != nil {
		return err
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	if err := replace(keyFile, "PRIVATE KEY", secret, 0o600); err != nil {
		return err
	}
	if err := replace(certFile, "CERTIFICATE", der, 0o644); err != nil {
		return err
	}
	if t == a.cert { // as others will read it
		a.cert, err = x509.ParseCertificate(der)
	}
	return err
}

// replace writes a file in one step.
func replace(path, kind string, der []byte, mode fs.FileMode) error {
	return whole.Write(path, filepath.Dir(path), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), mode)
}
