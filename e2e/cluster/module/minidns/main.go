// The cluster's DNS: addresses of Services, and of the host names that StatefulSets give their pods.
// Anything else does not exist. Answers over UDP and TCP.
package main

import (
	"context"
	"encoding/binary"
	"flag"
	"io"
	"log"
	"net"
	"net/netip"
	"strings"
	"time"

	"golang.org/x/net/dns/dnsmessage"
	core "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	discoverylisters "k8s.io/client-go/listers/discovery/v1"
	"k8s.io/client-go/tools/clientcmd"
)

const (
	suffix = ".svc.cluster.local"
	// Short: a pod that comes back has another address.
	ttlSeconds      = 1
	connectionLimit = 10 * time.Second
	packetBytesMax  = 4096
)

// What is known of the cluster.
type names struct {
	services corelisters.ServiceLister
	slices   discoverylisters.EndpointSliceLister
}

// Addresses of a name, and whether it exists.
func (n names) lookup(name string) ([]netip.Addr, bool) {
	name = strings.TrimSuffix(strings.ToLower(name), ".")
	rest, ours := strings.CutSuffix(name, suffix)
	if !ours {
		return nil, false
	}
	// SERVICE.NAMESPACE or HOST.SERVICE.NAMESPACE
	parts := strings.Split(rest, ".")
	host := ""
	if len(parts) == 3 {
		host, parts = parts[0], parts[1:]
	}
	if len(parts) != 2 {
		return nil, false
	}
	service, err := n.services.Services(parts[1]).Get(parts[0])
	if err != nil {
		return nil, false
	}
	if service.Spec.ClusterIP != core.ClusterIPNone {
		addr, err := netip.ParseAddr(service.Spec.ClusterIP)
		if err != nil || host != "" {
			return nil, false
		}
		return []netip.Addr{addr}, true
	}
	of := labels.SelectorFromSet(labels.Set{discovery.LabelServiceName: service.Name})
	slices, err := n.slices.EndpointSlices(service.Namespace).List(of)
	if err != nil {
		return nil, false
	}
	var found []netip.Addr
	for _, slice := range slices {
		for _, endpoint := range slice.Endpoints {
			found = append(found, addresses(endpoint, host, service.Spec.PublishNotReadyAddresses)...)
		}
	}
	return found, len(found) > 0 || host == ""
}

// Addresses of one endpoint, if it is the wanted host (any, if empty) and may be told.
func addresses(endpoint discovery.Endpoint, host string, evenUnready bool) []netip.Addr {
	ready := endpoint.Conditions.Ready == nil || *endpoint.Conditions.Ready
	if !ready && !evenUnready {
		return nil
	}
	if host != "" && (endpoint.Hostname == nil || *endpoint.Hostname != host) {
		return nil
	}
	var found []netip.Addr
	for _, text := range endpoint.Addresses {
		if addr, err := netip.ParseAddr(text); err == nil {
			found = append(found, addr)
		}
	}
	return found
}

// The answer to a query; nil if there is none to be given.
func (n names) answer(query []byte) []byte {
	var parser dnsmessage.Parser
	header, err := parser.Start(query)
	if err != nil {
		return nil
	}
	questions, err := parser.AllQuestions()
	if err != nil || len(questions) != 1 {
		return nil
	}
	question := questions[0]
	answer := dnsmessage.Message{
		Header: dnsmessage.Header{
			ID: header.ID, Response: true, Authoritative: true,
			RecursionDesired: header.RecursionDesired, RecursionAvailable: true,
		},
		Questions: questions,
	}
	found, exists := n.lookup(question.Name.String())
	if !exists {
		answer.RCode = dnsmessage.RCodeNameError
	}
	for _, addr := range found {
		if addr.Is4() && question.Type == dnsmessage.TypeA {
			answer.Answers = append(answer.Answers, dnsmessage.Resource{
				Header: dnsmessage.ResourceHeader{Name: question.Name, Class: dnsmessage.ClassINET, TTL: ttlSeconds},
				Body:   &dnsmessage.AResource{A: addr.As4()},
			})
		}
	}
	packed, err := answer.Pack()
	if err != nil {
		return nil
	}
	return packed
}

func (n names) serveStream(connection net.Conn) {
	defer connection.Close()
	if err := connection.SetDeadline(time.Now().Add(connectionLimit)); err != nil {
		return
	}
	for {
		var length [2]byte
		if _, err := io.ReadFull(connection, length[:]); err != nil {
			return
		}
		query := make([]byte, binary.BigEndian.Uint16(length[:]))
		if _, err := io.ReadFull(connection, query); err != nil {
			return
		}
		answer := n.answer(query)
		if answer == nil {
			return
		}
		framed := append(binary.BigEndian.AppendUint16(nil, uint16(len(answer))), answer...)
		if _, err := connection.Write(framed); err != nil {
			return
		}
	}
}

func main() {
	kubeconfig := flag.String("kubeconfig", "", "of somebody who may list Services and EndpointSlices")
	listen := flag.String("listen", "", "address and port")
	flag.Parse()
	config, err := clientcmd.BuildConfigFromFlags("", *kubeconfig)
	if err != nil {
		log.Fatal(err)
	}
	factory := informers.NewSharedInformerFactory(kubernetes.NewForConfigOrDie(config), 0)
	n := names{factory.Core().V1().Services().Lister(), factory.Discovery().V1().EndpointSlices().Lister()}
	ctx := context.Background()
	factory.Start(ctx.Done())
	factory.WaitForCacheSync(ctx.Done())

	packets, err := net.ListenPacket("udp", *listen)
	if err != nil {
		log.Fatal(err)
	}
	streams, err := net.Listen("tcp", *listen)
	if err != nil {
		log.Fatal(err)
	}
	go func() {
		for {
			connection, err := streams.Accept()
			if err != nil {
				log.Fatal(err)
			}
			go n.serveStream(connection)
		}
	}()
	buffer := make([]byte, packetBytesMax)
	for {
		count, from, err := packets.ReadFrom(buffer)
		if err != nil {
			continue
		}
		if answer := n.answer(buffer[:count]); answer != nil {
			if _, err := packets.WriteTo(answer, from); err != nil {
				log.Print(err)
			}
		}
	}
}
