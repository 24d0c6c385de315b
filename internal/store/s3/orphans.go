package s3

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"canton-backup/internal/store"
)

// orphanAge is how old an upload without a record must be: younger, it may be one that an attempt is about to record.
const orphanAge = 24 * time.Hour

// announce leaves a record that an upload for the object is about to begin, and returns the record's name. Each attempt has its own.
func (s *Store) announce(ctx context.Context, name string, partSize int64) (string, error) {
	announcement := store.PartialName(s.cfg.Owner, strings.ToLower(rand.Text()[:12]), name)
	body, err := json.Marshal(upload{Name: name, PartSize: partSize})
	if err != nil {
		return "", err
	}
	return announcement, s.putSmall(ctx, announcement, body)
}

func (u upload) announced() bool { return u.ID == "" && u.Name != "" }

// sweepOrphans aborts uploads that an attempt of ours began and did not live to record. It returns false, and aborts nothing, while
// the announcement is young.
//
// A server's list of uploads does not tell whose they are. Ours is one of exactly the announced name, begun after the announcement,
// in no node's record, and without a part: none is sent before the record is written. So even where a stranger began an upload of that
// name, no byte of his is lost.
func (s *Store) sweepOrphans(ctx context.Context, announced upload) (due bool, err error) {
	head, err := s.head(ctx, announced.ledger)
	if err != nil {
		return false, fmt.Errorf("look at announcement: %w", err)
	}
	since := aws.ToTime(head.LastModified)
	if s.now().Sub(since) < orphanAge {
		return false, nil
	}
	recorded, err := s.recorded(ctx)
	if err != nil {
		return false, err
	}
	key := aws.ToString(s.key(announced.Name))
	pages := s3.NewListMultipartUploadsPaginator(s.client, &s3.ListMultipartUploadsInput{Bucket: s.bucket(), Prefix: aws.String(key)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return false, fmt.Errorf("list uploads: %w", err)
		}
		for _, found := range page.Uploads {
			begun := aws.ToTime(found.Initiated)
			id := aws.ToString(found.UploadId)
			if aws.ToString(found.Key) != key || recorded[id] || begun.Before(since.Add(-time.Second)) || s.now().Sub(begun) < orphanAge {
				continue
			}
			orphan := upload{Name: announced.Name, ID: id}
			if parts, err := s.listParts(ctx, orphan); err != nil && !hasCode(err, "NoSuchUpload") {
				return false, err
			} else if len(parts) > 0 {
				continue
			}
			if err := s.abort(ctx, orphan); err != nil {
				return false, err
			}
		}
	}
	return true, nil
}

// recorded are the ids of uploads in the records of all nodes.
func (s *Store) recorded(ctx context.Context) (map[string]bool, error) {
	var records []string
	if err := s.each(ctx, store.PartialMark, func(name string, _ int64) { records = append(records, name) }); err != nil {
		return nil, err
	}
	ids := map[string]bool{}
	for _, name := range records {
		if up, err := s.readLedger(ctx, name); err == nil {
			ids[up.ID] = true
		} else if ctx.Err() != nil {
			return nil, err
		}
	}
	return ids, nil
}
