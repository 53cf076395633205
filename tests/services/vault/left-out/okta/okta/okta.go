// Package okta stands for the package of this name, which is 12 MB of source. Vault calls it when a login needs a second factor
// of Okta.
package okta

import (
	"context"
	"errors"
	"net/http"
)

type (
	Configuration struct{ Context context.Context }
	ConfigSetter  func(*Configuration)
	APIClient     struct {
		UserAPI       users
		UserFactorAPI factors
	}
	User                 struct{}
	UserFactorPush       struct{}
	Factor               struct{ UserFactorPush *UserFactorPush }
	VerifyFactorResponse struct{ Links map[string]any }
	Transaction          struct {
		UserFactorPushTransaction         *struct{}
		UserFactorPushTransactionWaiting  *struct{}
		UserFactorPushTransactionRejected *struct{}
		UserFactorPushTransactionTimeout  *struct{}
	}
	users          struct{}
	factors        struct{}
	request[T any] struct{}
)

var errLeftOut = errors.New("Okta is left out")

func WithToken(string) ConfigSetter  { return nil }
func WithOrgUrl(string) ConfigSetter { return nil }
func WithCache(bool) ConfigSetter    { return nil }

func NewConfiguration(...ConfigSetter) (*Configuration, error) { return nil, errLeftOut }
func NewAPIClient(*Configuration) *APIClient                   { return &APIClient{} }
func (*APIClient) GetConfig() *Configuration                   { return &Configuration{} }

func (request[T]) Filter(string) request[T] { return request[T]{} }

func (request[T]) Execute() (T, *http.Response, error) {
	var none T
	return none, nil, errLeftOut
}

func (users) ListUsers(context.Context) request[[]User] { return request[[]User]{} }

func (factors) ListFactors(context.Context, string) request[[]Factor] { return request[[]Factor]{} }

func (factors) VerifyFactor(context.Context, string, string) request[*VerifyFactorResponse] {
	return request[*VerifyFactorResponse]{}
}

func (factors) GetFactorTransactionStatus(context.Context, string, string, string) request[*Transaction] {
	return request[*Transaction]{}
}

func (User) GetId() string                            { return "" }
func (*UserFactorPush) GetId() string                 { return "" }
func (*VerifyFactorResponse) GetFactorResult() string { return "" }
