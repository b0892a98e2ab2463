package door

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
)

// LoadTLS reads a certificate and its key from PEM files, for TLS 1.2 and newer. It also returns the names that
// the certificate is for.
func LoadTLS(certFile, keyFile string) (conf *tls.Config, names []string, err error) {
	cert, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		return nil, nil, fmt.Errorf("read the certificate: %w", err)
	}
	leaf, err := x509.ParseCertificate(cert.Certificate[0])
	if err != nil {
		return nil, nil, fmt.Errorf("read the certificate: %w", err)
	}
	return &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}, leaf.DNSNames, nil
}
