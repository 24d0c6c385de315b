package s3

import (
	"context"
	"crypto/x509"
	"fmt"
	"os"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"canton-backup/internal/store"
)

// keys is where the keys come from: the settings, or else the SDK's own chain, as every AWS tool goes by it.
func (c Config) keys() (aws.CredentialsProvider, error) {
	if c.AccessKey != "" {
		return credentials.NewStaticCredentialsProvider(c.AccessKey, c.SecretKey.Reveal(), ""), nil
	}
	// With the region given this reads environment and files; the machine's role is asked for at the first request.
	sdk, err := config.LoadDefaultConfig(context.Background(), config.WithRegion(c.Region))
	if err != nil {
		return nil, fmt.Errorf("read AWS settings: %w", err)
	}
	return aws.NewCredentialsCache(chain{sdk.Credentials}), nil
}

// chain gives the failure to find keys the store's word.
type chain struct{ aws.CredentialsProvider }

func (c chain) Retrieve(ctx context.Context) (aws.Credentials, error) {
	found, err := c.CredentialsProvider.Retrieve(ctx)
	if err != nil && ctx.Err() == nil {
		err = &noKeys{err}
	}
	return found, err
}

// noKeys: neither environment nor profile nor role has keys. It is not worth a retry: the chain has its own.
type noKeys struct{ error }

func (e *noKeys) Error() string {
	return "no keys in the settings, the environment, a profile or the machine's role; set S3_ACCESS_KEY and S3_SECRET_KEY: " + e.error.Error()
}

func (e *noKeys) Is(target error) bool { return target == store.ErrDenied }
func (e *noKeys) Unwrap() error        { return e.error }

// authorities are the host's own with those of the file, or nil for the host's own.
func authorities(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read authorities: %w", err)
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		return nil, fmt.Errorf("read the host's authorities: %w", err)
	}
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("read authorities: no certificate in %s; it must be PEM, with -----BEGIN CERTIFICATE-----", file)
	}
	return pool, nil
}
