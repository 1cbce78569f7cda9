// Copyright (c) 2026 The netops.egress_ip authors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// The test peer: a vCenter for tests, a front of our own before govmomi's simulator.
//
// It listens on an ephemeral port of 127.0.0.1 with TLS, prints one JSON line {"port", "certificate" (PEM)} when it is
// ready, and ends when its standard input ends. README.md beside it says what it adds and how tests steer it.
package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"flag"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"os"
	"time"

	"github.com/vmware/govmomi/simulator"
)

func main() {
	apiVersion := flag.String("api", "8.0.3.0", "the version of the API that the vCenter has")
	clusters := flag.Int("clusters", 1, "number of clusters with two hosts each")
	fleet := flag.Int("fleet", 0, "number of further VMs")
	stock := flag.Bool("stock", false, "govmomi's simulator with its own inventory and without the front")
	network := flag.String("network", "nodes", "the network of the further VMs")
	flag.Parse()
	for number := 1; number <= *fleet; number++ {
		machines = append(machines, machine{
			name: fmt.Sprintf("fleet%d", number), host: fmt.Sprintf("DC0_C0_H%d", number%2), networks: []string{*network},
		})
	}
	build := func() (*simulator.Model, *lan, error) { return buildInventory(*apiVersion, *clusters) }
	if *stock {
		build = func() (*simulator.Model, *lan, error) { return stockInventory(*apiVersion) }
	}
	model, lan, err := build()
	if err != nil {
		log.Fatal(err)
	}
	model.Service.Listen = &url.URL{User: simulator.DefaultLogin} // takes every name and password; the front does not
	model.Service.RegisterSDK(simulator.Map)
	certificate, authority, err := selfSigned()
	if err != nil {
		log.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	server := &http.Server{
		Handler:   newFront(model.Service.ServeMux, lan, *apiVersion, *stock),
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{certificate}},
	}
	go func() { log.Fatal(server.ServeTLS(listener, "", "")) }()
	ready, _ := json.Marshal(map[string]interface{}{
		"port":        listener.Addr().(*net.TCPAddr).Port,
		"certificate": authority,
	})
	fmt.Println(string(ready))
	_, _ = io.Copy(io.Discard, os.Stdin)
	model.Remove()
}

// selfSigned returns a certificate for 127.0.0.1, and the same as PEM for those who are to trust it.
func selfSigned() (tls.Certificate, string, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, "", err
	}
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: "test vCenter"},
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().Add(24 * time.Hour),
		KeyUsage:              x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		IPAddresses:           []net.IP{net.IPv4(127, 0, 0, 1)},
		BasicConstraintsValid: true,
		IsCA:                  true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return tls.Certificate{}, "", err
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, string(text), nil
}
