// Package discover stands for the package of this name, which links the clients of a dozen clouds. Vault calls it when a server
// joins a Raft cluster.
package discover

import (
	"errors"
	"log"
)

type Provider interface {
	Addrs(args map[string]string, l *log.Logger) ([]string, error)
	Help() string
}

type (
	Discover struct{}
	Option   func(*Discover) error
)

var Providers map[string]Provider

func WithProviders(map[string]Provider) Option { return nil }

func New(...Option) (*Discover, error) { return &Discover{}, nil }

func (*Discover) Addrs(string, *log.Logger) ([]string, error) {
	return nil, errors.New("go-discover is left out")
}
