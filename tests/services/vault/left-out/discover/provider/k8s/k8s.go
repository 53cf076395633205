// Package k8s stands for the package of this name.
package k8s

import (
	"errors"
	"log"
)

type Provider struct{}

func (*Provider) Addrs(map[string]string, *log.Logger) ([]string, error) {
	return nil, errors.New("go-discover is left out")
}

func (*Provider) Help() string { return "" }
