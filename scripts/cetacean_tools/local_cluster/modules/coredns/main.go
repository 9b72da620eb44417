// The cluster's DNS server: CoreDNS with only the plugins that a Service name needs.
package main

import (
	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/coremain"

	_ "github.com/coredns/coredns/plugin/bind"
	_ "github.com/coredns/coredns/plugin/errors"
	_ "github.com/coredns/coredns/plugin/health"
	_ "github.com/coredns/coredns/plugin/kubernetes"
	_ "github.com/coredns/coredns/plugin/loadbalance"
	_ "github.com/coredns/coredns/plugin/ready"
	_ "github.com/coredns/coredns/plugin/template"
)

func main() {
	// The order in which a query passes the plugins; CoreDNS' own list names every plugin it can be built with.
	dnsserver.Directives = []string{"bind", "health", "ready", "errors", "loadbalance", "template", "kubernetes"}
	coremain.Run()
}
