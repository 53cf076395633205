// Vault's own server, HTTP interface and transit engine, with storage in files: vault FOLDER ADDRESS.
// FOLDER has server.crt and server.key; what is stored goes to FOLDER/store. Vault's command would link all its plugins, too,
// and take a quarter of an hour to build. For the same reason go.mod replaces two large packages that no test reaches.
// Vault is under the Business Source License: this is built for tests and not distributed.
package main

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"

	log "github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/builtin/logical/transit"
	vaulthttp "github.com/hashicorp/vault/http"
	"github.com/hashicorp/vault/internalshared/configutil"
	"github.com/hashicorp/vault/sdk/helper/consts"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/hashicorp/vault/sdk/physical/file"
	"github.com/hashicorp/vault/vault"
)

// The plugins that Vault has built in: here only those that it links anyway.
type noPlugins struct{}

func (noPlugins) Contains(string, consts.PluginType) bool { return false }

func (noPlugins) Get(string, consts.PluginType) (func() (any, error), bool) { return nil, false }

func (noPlugins) Keys(consts.PluginType) []string { return nil }

func (noPlugins) DeprecationStatus(string, consts.PluginType) (consts.DeprecationStatus, bool) {
	return consts.Supported, true
}

func (noPlugins) IsBuiltinEntPlugin(string, consts.PluginType) bool { return false }

func serve(folder, address string) error {
	logger := log.New(&log.LoggerOptions{Level: log.Info, Output: os.Stderr})
	storage, err := file.NewFileBackend(map[string]string{"path": filepath.Join(folder, "store")}, logger)
	if err != nil {
		return err
	}
	core, err := vault.NewCore(&vault.CoreConfig{
		Physical:        storage,
		StorageType:     "file",
		BuiltinRegistry: noPlugins{},
		LogicalBackends: map[string]logical.Factory{"transit": transit.Factory},
		Logger:          logger,
		DisableMlock:    true,
		RedirectAddr:    "https://" + address,
	})
	if err != nil {
		return err
	}
	properties := &vault.HandlerProperties{Core: core, ListenerConfig: &configutil.Listener{}}
	server := &http.Server{Addr: address, Handler: vaulthttp.Handler.Handler(properties)}
	return server.ListenAndServeTLS(filepath.Join(folder, "server.crt"), filepath.Join(folder, "server.key"))
}

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: vault FOLDER ADDRESS")
		os.Exit(2)
	}
	if err := serve(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
