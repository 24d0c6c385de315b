package s3

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"canton-backup/internal/store"
)

// upload is the record of a multipart upload under way. It lies as a small object under a partial name beside the object
// to be, because a server's list of open uploads does not tell whose they are: Sweep must spare those of other nodes.
//
// Between the upload's begin and the record's writing a crash would leave an upload that no record names. So an announcement goes
// before both: a record of its own, without an id, that is removed once the real one is written. See sweepOrphans.
type upload struct {
	Name     string `json:"name"`
	ID       string `json:"upload_id"` // empty: announced
	SHA256   string `json:"sha256"`
	PartSize int64  `json:"part_size"`

	ledger string // name of the record itself
}

// maxAborts is how often one upload is aborted in a Sweep.
const maxAborts = 5

// maxLedger bounds what is read of a record, in bytes.
const maxLedger = 64 << 10

// beginUpload resumes the upload that an interrupted Put of the same content left, with the parts that are at the server, or
// begins a new one.
func (s *Store) beginUpload(ctx context.Context, name string, file store.File) (upload, map[int32]types.Part, error) {
	partSize, err := partSizeFor(file.Size, s.cfg.PartSize, int64(s.cfg.MaxParts))
	if err != nil {
		return upload{}, nil, err
	}
	ledger := store.PartialName(s.cfg.Owner, file.SHA256[:12], name)
	up, err := s.readLedger(ctx, ledger)
	if err == nil && up.Name == name && up.SHA256 == file.SHA256 && s.fits(file.Size, up.PartSize) {
		there, err := s.listParts(ctx, up)
		if err == nil || !hasCode(err, "NoSuchUpload") {
			return up, there, err
		}
	} else if err != nil && !errors.Is(err, store.ErrNotFound) {
		return upload{}, nil, err
	}
	announcement, err := s.announce(ctx, name, partSize)
	if err != nil {
		return upload{}, nil, fmt.Errorf("announce upload: %w", err)
	}
	made, err := s.client.CreateMultipartUpload(ctx, s.multipart(name, file, partSize))
	if err != nil {
		return upload{}, nil, fmt.Errorf("begin upload: %w", err)
	}
	up = upload{Name: name, ID: aws.ToString(made.UploadId), SHA256: file.SHA256, PartSize: partSize, ledger: ledger}
	body, err := json.Marshal(up)
	if err != nil {
		return upload{}, nil, err
	}
	// No part is sent before the record is written: an upload that nobody knows of holds no bytes.
	if err := s.putSmall(ctx, ledger, body); err != nil {
		return upload{}, nil, fmt.Errorf("record upload: %w", err)
	}
	// One that stays costs a look by Sweep.
	if err := s.remove(ctx, announcement); err != nil && !forbidden(err) {
		return upload{}, nil, fmt.Errorf("record upload: %w", err)
	}
	return up, nil, nil
}

// fits reports whether parts of the size that an earlier Put chose hold the file.
func (s *Store) fits(size, partSize int64) bool {
	return (size+partSize-1)/partSize <= int64(s.cfg.MaxParts)
}

// readLedger returns ErrNotFound when there is no record, and an empty upload when it is none that we can read.
func (s *Store) readLedger(ctx context.Context, ledger string) (upload, error) {
	body, err := s.getSmall(ctx, ledger)
	if absent(err) {
		return upload{}, store.ErrNotFound
	}
	if err != nil {
		return upload{}, err
	}
	var up upload
	if json.Unmarshal(body, &up) != nil || up.PartSize < minPartSize || store.CheckName(up.Name) != nil {
		return upload{ledger: ledger}, nil
	}
	up.ledger = ledger
	return up, nil
}

func (s *Store) listParts(ctx context.Context, up upload) (map[int32]types.Part, error) {
	parts := map[int32]types.Part{}
	pages := s3.NewListPartsPaginator(s.client, &s3.ListPartsInput{
		Bucket: s.bucket(), Key: s.key(up.Name), UploadId: aws.String(up.ID)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, fmt.Errorf("list parts: %w", err)
		}
		for _, part := range page.Parts {
			parts[aws.ToInt32(part.PartNumber)] = part
		}
	}
	return parts, nil
}

// endUpload aborts the upload and removes its record, in this order: without the record nobody would find the upload.
func (s *Store) endUpload(ctx context.Context, up upload) error {
	if up.ID != "" {
		if err := s.abort(ctx, up); err != nil {
			return err
		}
	}
	return s.remove(ctx, up.ledger)
}

// abort ends the upload. A part that the server was still taking in can outlive that: AWS asks to look, and to abort again.
func (s *Store) abort(ctx context.Context, up upload) error {
	for range maxAborts {
		_, err := s.client.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{
			Bucket: s.bucket(), Key: s.key(up.Name), UploadId: aws.String(up.ID)})
		if err != nil && !hasCode(err, "NoSuchUpload") {
			return fmt.Errorf("abort upload: %w", err)
		}
		parts, err := s.listParts(ctx, up)
		if hasCode(err, "NoSuchUpload") || err == nil && len(parts) == 0 {
			return nil
		}
		if err != nil && !forbidden(err) {
			return fmt.Errorf("abort upload: %w", err)
		}
	}
	return nil
}

// Sweep implements store.Store.
func (s *Store) Sweep(ctx context.Context) ([]string, error) {
	swept, err := s.sweep(ctx)
	if err != nil {
		return swept, fmt.Errorf("sweep %s: %w", s.Location(), typed(ctx, err))
	}
	return swept, nil
}

func (s *Store) sweep(ctx context.Context) (swept []string, err error) {
	var ledgers []string
	err = s.each(ctx, store.PartialPrefix(s.cfg.Owner), func(name string, _ int64) {
		if store.IsPartialOf(s.cfg.Owner, name) {
			ledgers = append(ledgers, name)
		}
	})
	if err != nil {
		return nil, err
	}
	for _, ledger := range ledgers {
		up, err := s.readLedger(ctx, ledger)
		if errors.Is(err, store.ErrNotFound) {
			continue
		}
		if err == nil && up.announced() {
			due, err := s.sweepOrphans(ctx, up)
			if err != nil {
				return swept, err
			}
			if !due {
				continue
			}
		}
		if err == nil {
			err = s.endUpload(ctx, up)
		}
		if err != nil {
			return swept, err
		}
		swept = append(swept, ledger)
	}
	return swept, nil
}

func (s *Store) putSmall(ctx context.Context, name string, content []byte) error {
	input := &s3.PutObjectInput{Bucket: s.bucket(), Key: s.key(name), Body: bytes.NewReader(content), ContentMD5: base64MD5(md5.Sum(content))}
	input.ServerSideEncryption, input.SSEKMSKeyId = s.encryption() // a bucket may refuse what is not encrypted
	_, err := s.client.PutObject(ctx, input)
	return err
}

func (s *Store) getSmall(ctx context.Context, name string) ([]byte, error) {
	got, err := s.client.GetObject(ctx, &s3.GetObjectInput{Bucket: s.bucket(), Key: s.key(name)})
	if err != nil {
		return nil, err
	}
	defer got.Body.Close()
	return io.ReadAll(io.LimitReader(got.Body, maxLedger))
}

// isFinal reports errors that the same upload cannot get over.
func isFinal(err error) bool {
	return errors.Is(err, store.ErrCorrupt) || errors.Is(err, store.ErrExists)
}
