package freeport_test

import (
	"net"
	"testing"

	"github.com/glassq/glassq/internal/freeport"
)

// TestAddresses: nobody who listens wherever the system pleases gets an address that was found.
func TestAddresses(t *testing.T) {
	addrs, err := freeport.Addresses(20)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	for _, a := range addrs {
		found[a] = true
	}
	if len(found) != 20 {
		t.Fatalf("addresses = %v; want 20 different ones", addrs)
	}
	for range 200 {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		if ln.Addr().(*net.TCPAddr).Port < 32768 {
			t.Skip("this system hands out low ports, so what is found may be taken")
		}
		if found[ln.Addr().String()] {
			t.Errorf("the system handed out %v", ln.Addr())
		}
	}
	for a := range found {
		ln, err := net.Listen("tcp", a)
		if err != nil {
			t.Fatal(err)
		}
		ln.Close()
	}
}
