package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sort"
	"strings"
	"sync"
	"time"

	rocketmq "github.com/apache/rocketmq-client-go/v2"
	"github.com/apache/rocketmq-client-go/v2/admin"
	"github.com/apache/rocketmq-client-go/v2/consumer"
	"github.com/apache/rocketmq-client-go/v2/primitive"
	"github.com/apache/rocketmq-client-go/v2/producer"
)

func scenarios() []*scenario {
	return []*scenario{
		{name: "go.send", body: send},
		{name: "go.batch", body: batch},
		{name: "go.push", body: push},
		{name: "go.tags", body: tags},
		{name: "go.retry", body: retry},
		{name: "go.orderly", body: orderly},
		{name: "go.broadcast", body: broadcast},
		{name: "go.delay", body: delay},
		{name: "go.pull", body: pull},
		{name: "go.admin", body: topics},
		{name: "go.rebalance", body: rebalance},
		{name: "go.restart", body: restart},
		{name: "go.autocreate", body: autocreate},
		{name: "go.request", body: request},
	}
}

var ctx = context.Background()

func newProducer(c *scenario, options ...producer.Option) (rocketmq.Producer, error) {
	base := []producer.Option{
		producer.WithNameServer([]string{namesrv}),
		producer.WithGroupName(c.unique("pg")),
		producer.WithInstanceName(c.instance()),
		producer.WithRetry(1),
	}
	made, err := rocketmq.NewProducer(append(base, options...)...)
	if err != nil {
		return nil, err
	}
	if err := made.Start(); err != nil {
		return nil, err
	}
	c.closing(func() { _ = made.Shutdown() })
	return made, nil
}

func newConsumer(c *scenario, group string, options ...consumer.Option) (rocketmq.PushConsumer, error) {
	base := []consumer.Option{
		consumer.WithNameServer([]string{namesrv}),
		consumer.WithGroupName(group),
		consumer.WithInstance(c.instance()),
		consumer.WithConsumeFromWhere(consumer.ConsumeFromFirstOffset),
	}
	made, err := rocketmq.NewPushConsumer(append(base, options...)...)
	if err != nil {
		return nil, err
	}
	return made, nil
}

func newAdmin() (admin.Admin, error) {
	return admin.NewAdmin(admin.WithResolver(primitive.NewPassthroughResolver([]string{namesrv})))
}

// topic makes one with the given number of queues.
func topic(c *scenario, suffix string, queues int) (string, error) {
	name := c.unique(suffix)
	tool, err := newAdmin()
	if err != nil {
		return "", err
	}
	defer tool.Close()
	err = tool.CreateTopic(ctx, admin.WithTopicCreate(name), admin.WithBrokerAddrCreate(broker),
		admin.WithReadQueueNums(queues), admin.WithWriteQueueNums(queues), admin.WithPerm(6))
	// The broker tells the name server at once; give that a moment.
	time.Sleep(300 * time.Millisecond)
	return name, err
}

// stage makes what most scenarios begin with: a topic of their own and a producer.
func stage(c *scenario, queues int, options ...producer.Option) (string, rocketmq.Producer, error) {
	name, err := topic(c, "t", queues)
	if err != nil {
		return "", nil, err
	}
	p, err := newProducer(c, options...)
	return name, p, err
}

// client is what every consumer has in common.
type client interface {
	Start() error
	Shutdown() error
}

// begin starts a consumer that has its subscriptions; it ends with the scenario.
func begin(c *scenario, made client) error {
	if err := made.Start(); err != nil {
		return err
	}
	c.closing(func() { _ = made.Shutdown() })
	return nil
}

func message(topic, tag, body string) *primitive.Message {
	made := primitive.NewMessage(topic, []byte(body))
	if tag != "" {
		made.WithTag(tag)
	}
	return made
}

func fill(p rocketmq.Producer, topic string, count int, prefix string) error {
	for i := 0; i < count; i++ {
		if _, err := p.SendSync(ctx, message(topic, "", fmt.Sprint(prefix, i))); err != nil {
			return err
		}
	}
	return nil
}

func send(c *scenario) error {
	name, p, err := stage(c, 1)
	if err != nil {
		return err
	}
	for i := 0; i < 2; i++ {
		result, err := p.SendSync(ctx, message(name, "A", "sync"))
		if err != nil {
			return err
		}
		c.fact(fmt.Sprint("sync", i), "status", result.Status, "queue", result.MessageQueue.QueueId, "offset", result.QueueOffset,
			"id", len(result.MsgID), "offsetId", len(result.OffsetMsgID), "region", result.RegionID, "trace", result.TraceOn)
	}
	var done sync.WaitGroup
	var mutex sync.Mutex
	ok := 0
	for i := 0; i < 20; i++ {
		done.Add(1)
		err := p.SendAsync(ctx, func(_ context.Context, result *primitive.SendResult, err error) {
			mutex.Lock()
			if err == nil && result.Status == primitive.SendOK {
				ok++
			}
			mutex.Unlock()
			done.Done()
		}, message(name, "A", "async"))
		if err != nil {
			return err
		}
	}
	done.Wait()
	c.fact("async", "ok", ok)
	for i := 0; i < 5; i++ {
		if err := p.SendOneWay(ctx, message(name, "A", "oneway")); err != nil {
			return err
		}
	}
	end := int64(0)
	await(5*time.Second, func() bool {
		result, err := p.SendSync(ctx, message(name, "A", "last"))
		if err == nil {
			end = result.QueueOffset
		}
		return err == nil
	})
	c.fact("end", "atLeast", end >= 22)
	_, err = p.SendSync(ctx, message(name, "A", strings.Repeat("z", 10000)))
	c.fact("compressed", "ok", err == nil)
	_, err = p.SendSync(ctx, message("bad name", "A", "x"))
	c.fact("badName", "error", err != nil)
	return nil
}

func batch(c *scenario) error {
	name, p, err := stage(c, 1)
	if err != nil {
		return err
	}
	messages := []*primitive.Message{}
	for i := 0; i < 5; i++ {
		messages = append(messages, message(name, "A", fmt.Sprint("b", i)))
	}
	result, err := p.SendSync(ctx, messages...)
	if err != nil {
		return err
	}
	c.fact("sent", "status", result.Status, "offset", result.QueueOffset, "offsetIds", len(strings.Split(result.OffsetMsgID, ",")))
	got, err := consumeAll(c, name, c.unique("cg"), "*", 5)
	c.fact("read", "bodies", got.set())
	return err
}

// consumeAll starts a consumer and waits for count distinct messages.
func consumeAll(c *scenario, topic, group, expression string, count int, options ...consumer.Option) (*sink, error) {
	got := &sink{}
	made, err := newConsumer(c, group, options...)
	if err != nil {
		return got, err
	}
	selector := consumer.MessageSelector{Type: consumer.TAG, Expression: expression}
	err = made.Subscribe(topic, selector, func(_ context.Context, messages ...*primitive.MessageExt) (consumer.ConsumeResult, error) {
		for _, message := range messages {
			got.add(string(message.Body))
		}
		return consumer.ConsumeSuccess, nil
	})
	if err != nil {
		return got, err
	}
	if err := made.Start(); err != nil {
		return got, err
	}
	c.closing(func() { _ = made.Shutdown() })
	got.await(60*time.Second, count)
	return got, nil
}

func push(c *scenario) error {
	name, p, err := stage(c, 4)
	if err != nil {
		return err
	}
	if err := fill(p, name, 40, "m"); err != nil {
		return err
	}
	if _, err := p.SendSync(ctx, message(name, "", strings.Repeat("z", 10000))); err != nil {
		return err
	}
	got, err := consumeAll(c, name, c.unique("cg"), "*", 41)
	if err != nil {
		return err
	}
	c.fact("read", "count", len(got.all()), "distinct", len(got.set()))
	if err := fill(p, name, 10, "n"); err != nil {
		return err
	}
	c.fact("live", "came", got.await(20*time.Second, 51), "count", len(got.all()))
	return nil
}

func tags(c *scenario) error {
	name, p, err := stage(c, 2)
	if err != nil {
		return err
	}
	for i, tag := range []string{"A", "B", "C", "A", "B", "C", ""} {
		if _, err := p.SendSync(ctx, message(name, tag, fmt.Sprint(tag, i))); err != nil {
			return err
		}
	}
	got, err := consumeAll(c, name, c.unique("cg"), "A || C", 4)
	c.fact("read", "bodies", got.set())
	return err
}

func retry(c *scenario) error {
	name, err := topic(c, "t", 1)
	if err != nil {
		return err
	}
	group := c.unique("cg")
	made, err := newConsumer(c, group, consumer.WithMaxReconsumeTimes(2))
	if err != nil {
		return err
	}
	got := &sink{}
	err = made.Subscribe(name, consumer.MessageSelector{}, func(callContext context.Context, messages ...*primitive.MessageExt) (consumer.ConsumeResult, error) {
		concurrently, _ := primitive.GetConcurrentlyCtx(callContext)
		concurrently.DelayLevelWhenNextConsume = 1
		for _, message := range messages {
			got.add(fmt.Sprint(string(message.Body), "/", message.ReconsumeTimes))
		}
		return consumer.ConsumeRetryLater, nil
	})
	if err != nil {
		return err
	}
	if err := begin(c, made); err != nil {
		return err
	}
	p, err := newProducer(c)
	if err != nil {
		return err
	}
	if err := fill(p, name, 1, "m"); err != nil {
		return err
	}
	c.fact("delivered", "came", got.await(90*time.Second, 3), "turns", got.set())
	dead, err := consumeAll(c, "%DLQ%"+group, c.unique("dead"), "*", 1)
	c.fact("dead", "bodies", dead.set())
	return err
}

func orderly(c *scenario) error {
	name, p, err := stage(c, 2, producer.WithQueueSelector(producer.NewManualQueueSelector()))
	if err != nil {
		return err
	}
	for i := 0; i < 40; i++ {
		next := message(name, "", fmt.Sprintf("%d-%02d", i%2, i/2))
		next.Queue = &primitive.MessageQueue{Topic: name, BrokerName: "broker-a", QueueId: i % 2}
		if _, err := p.SendSync(ctx, next); err != nil {
			return err
		}
	}
	got, err := consumeAll(c, name, c.unique("cg"), "*", 40, consumer.WithConsumerOrder(true))
	if err != nil {
		return err
	}
	last := map[byte]string{}
	ordered := true
	for _, body := range got.all() {
		ordered = ordered && last[body[0]] < body
		last[body[0]] = body
	}
	c.fact("read", "count", len(got.all()), "ordered", ordered)
	return nil
}

func broadcast(c *scenario) error {
	name, p, err := stage(c, 2)
	if err != nil {
		return err
	}
	if err := fill(p, name, 10, "m"); err != nil {
		return err
	}
	for i := 0; i < 2; i++ {
		got, err := consumeAll(c, name, c.unique("cg"), "*", 10, consumer.WithConsumerModel(consumer.BroadCasting))
		if err != nil {
			return err
		}
		c.fact(fmt.Sprint("consumer", i), "bodies", got.set())
	}
	return nil
}

func delay(c *scenario) error {
	name, p, err := stage(c, 1)
	if err != nil {
		return err
	}
	made, err := newConsumer(c, c.unique("cg"))
	if err != nil {
		return err
	}
	var mutex sync.Mutex
	came := map[string]time.Time{}
	err = made.Subscribe(name, consumer.MessageSelector{}, func(_ context.Context, messages ...*primitive.MessageExt) (consumer.ConsumeResult, error) {
		mutex.Lock()
		defer mutex.Unlock()
		for _, message := range messages {
			came[string(message.Body)] = time.Now()
		}
		return consumer.ConsumeSuccess, nil
	})
	if err != nil {
		return err
	}
	if err := begin(c, made); err != nil {
		return err
	}
	has := func(body string) func() bool {
		return func() bool {
			mutex.Lock()
			defer mutex.Unlock()
			return !came[body].IsZero()
		}
	}
	if err := fill(p, name, 1, "warm"); err != nil {
		return err
	}
	await(60*time.Second, has("warm0"))
	for level, wait := range map[int]time.Duration{1: time.Second, 2: 5 * time.Second} {
		body := fmt.Sprint("level", level)
		late := message(name, "", body)
		late.WithDelayTimeLevel(level)
		sent := time.Now()
		if _, err := p.SendSync(ctx, late); err != nil {
			return err
		}
		if !await(30*time.Second, has(body)) {
			c.fact(body, "when", "never")
			continue
		}
		over := came[body].Sub(sent) - wait
		c.fact(body, "inTime", over > -60*time.Millisecond && over < 1500*time.Millisecond)
	}
	return nil
}

func pull(c *scenario) error {
	name, p, err := stage(c, 1)
	if err != nil {
		return err
	}
	if err := fill(p, name, 20, "m"); err != nil {
		return err
	}
	made, err := rocketmq.NewPullConsumer(consumer.WithNameServer([]string{namesrv}), consumer.WithGroupName(c.unique("cg")),
		consumer.WithInstance(c.instance()))
	if err != nil {
		return err
	}
	if err := made.Subscribe(name, consumer.MessageSelector{Type: consumer.TAG, Expression: "*"}); err != nil {
		return err
	}
	if err := begin(c, made); err != nil {
		return err
	}
	queue := &primitive.MessageQueue{Topic: name, BrokerName: "broker-a", QueueId: 0}
	for step, offset := range []int64{0, 15, 20, 30} {
		limited, cancel := context.WithTimeout(ctx, 25*time.Second)
		result, err := made.PullFrom(limited, queue, offset, 10)
		cancel()
		if err != nil {
			c.fact(fmt.Sprint("from", step), "error", !errors.Is(err, context.DeadlineExceeded))
			continue
		}
		c.fact(fmt.Sprint("from", step), "status", result.Status, "next", result.NextBeginOffset, "min", result.MinOffset,
			"max", result.MaxOffset, "found", len(result.GetMessageExts()))
	}
	return nil
}

func topics(c *scenario) error {
	tool, err := newAdmin()
	if err != nil {
		return err
	}
	defer tool.Close()
	name, err := topic(c, "t", 3)
	if err != nil {
		return err
	}
	list, err := tool.FetchAllTopicList(ctx)
	if err != nil {
		return err
	}
	c.fact("list", "has", contains(list.TopicList, name), "builtin", contains(list.TopicList, "TBW102"))
	queues, err := tool.FetchPublishMessageQueues(ctx, name)
	ids := []int{}
	for _, queue := range queues {
		ids = append(ids, queue.QueueId)
	}
	sort.Ints(ids)
	c.fact("queues", "ids", ids, "error", err)
	groups, err := tool.GetAllSubscriptionGroup(ctx, broker, 3*time.Second)
	if err != nil {
		c.fact("groups", "error", true)
	} else {
		_, has := groups.SubscriptionGroupTable["TOOLS_CONSUMER"]
		c.fact("groups", "has", has)
	}
	err = tool.DeleteTopic(ctx, admin.WithTopicDelete(name), admin.WithBrokerAddrDelete(broker), admin.WithNameSrvAddr([]string{namesrv}))
	c.fact("delete", "error", err)
	list, err = tool.FetchAllTopicList(ctx)
	if err != nil {
		return err
	}
	c.fact("listAfter", "has", contains(list.TopicList, name))
	return nil
}

func contains(all []string, one string) bool {
	for _, each := range all {
		if each == one {
			return true
		}
	}
	return false
}

func rebalance(c *scenario) error {
	name, err := topic(c, "t", 4)
	if err != nil {
		return err
	}
	group := c.unique("cg")
	both := &sink{}
	perConsumer := []*sink{{}, {}}
	for i := range perConsumer {
		own := perConsumer[i]
		made, err := newConsumer(c, group)
		if err != nil {
			return err
		}
		err = made.Subscribe(name, consumer.MessageSelector{}, func(_ context.Context, messages ...*primitive.MessageExt) (consumer.ConsumeResult, error) {
			for _, message := range messages {
				own.add(fmt.Sprint(message.Queue.QueueId))
				both.add(string(message.Body))
			}
			return consumer.ConsumeSuccess, nil
		})
		if err != nil {
			return err
		}
		if err := made.Start(); err != nil {
			return err
		}
		c.closing(func() { _ = made.Shutdown() })
	}
	p, err := newProducer(c)
	if err != nil {
		return err
	}
	// The split is reached once each consumer sees its half of a round, and nothing else.
	settled := await(60*time.Second, func() bool {
		for _, own := range perConsumer {
			own.mutex.Lock()
			own.bodies = nil
			own.mutex.Unlock()
		}
		if err := fill(p, name, 8, fmt.Sprint("r", time.Now().UnixNano(), "-")); err != nil {
			return false
		}
		time.Sleep(time.Second)
		return len(perConsumer[0].set()) == 2 && len(perConsumer[1].set()) == 2
	})
	c.fact("split", "settled", settled)
	return nil
}

func restart(c *scenario) error {
	name, p, err := stage(c, 2)
	if err != nil {
		return err
	}
	if err := fill(p, name, 10, "m"); err != nil {
		return err
	}
	group := c.unique("cg")
	first := &scenario{name: c.name + ".first"}
	got, err := consumeAll(first, name, group, "*", 10)
	if err != nil {
		return err
	}
	for _, closer := range first.closers {
		closer()
	}
	c.fact("first", "bodies", got.set())
	if err := fill(p, name, 4, "n"); err != nil {
		return err
	}
	again, err := consumeAll(c, name, group, "*", 4)
	c.fact("second", "bodies", again.set())
	return err
}

func autocreate(c *scenario) error {
	p, err := newProducer(c)
	if err != nil {
		return err
	}
	name := c.unique("made")
	result, err := p.SendSync(ctx, message(name, "", "x"))
	if err != nil {
		return err
	}
	c.fact("sent", "status", result.Status)
	tool, err := newAdmin()
	if err != nil {
		return err
	}
	defer tool.Close()
	count := 0
	await(20*time.Second, func() bool {
		queues, err := tool.FetchPublishMessageQueues(ctx, name)
		count = len(queues)
		return err == nil
	})
	c.fact("queues", "count", count)
	return nil
}

func request(c *scenario) error {
	name, p, err := stage(c, 1)
	if err != nil {
		return err
	}
	replier, err := newProducer(c)
	if err != nil {
		return err
	}
	made, err := newConsumer(c, c.unique("cg"))
	if err != nil {
		return err
	}
	err = made.Subscribe(name, consumer.MessageSelector{}, func(_ context.Context, messages ...*primitive.MessageExt) (consumer.ConsumeResult, error) {
		for _, one := range messages {
			if string(one.Body) != "question" {
				continue
			}
			cluster := one.GetProperty("CLUSTER")
			reply := primitive.NewMessage(cluster+"_REPLY_TOPIC", []byte("answer"))
			reply.WithProperty("MSG_TYPE", "reply")
			for _, key := range []string{"CORRELATION_ID", "REPLY_TO_CLIENT", "TTL"} {
				reply.WithProperty(key, one.GetProperty(key))
			}
			if _, err := replier.SendSync(ctx, reply); err != nil {
				fmt.Fprintln(os.Stderr, "reply:", err)
			}
		}
		return consumer.ConsumeSuccess, nil
	})
	if err != nil {
		return err
	}
	if err := begin(c, made); err != nil {
		return err
	}
	if err := fill(p, name, 1, "warm"); err != nil {
		return err
	}
	// The requester is known to the broker after its first periodic heartbeat.
	var answer *primitive.Message
	await(60*time.Second, func() bool {
		answer, err = p.Request(ctx, 5*time.Second, message(name, "", "question"))
		return err == nil
	})
	if err != nil {
		return err
	}
	c.fact("answer", "body", string(answer.Body))
	return nil
}
