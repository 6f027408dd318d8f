import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.function.Predicate;
import java.util.stream.Collectors;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.tools.command.MQAdminStartup;

/** `mqadmin` as people use it: commands and the text that they print, with what changes from run to run masked. */
final class ToolCases {
    private ToolCases() {
    }

    static void register(Cases cases) {
        cases.add("tool.commands", ToolCases::commands);
    }

    /** Runs one command. The tool prints to the process's output, hence one at a time. */
    private static synchronized String run(String line, String... more) {
        List<String> args = new ArrayList<String>();
        for (String word : line.split(" ")) {
            args.add(word);
        }
        for (String word : more) {
            args.add(word);
        }
        args.add("-n");
        args.add(Env.namesrv);
        PrintStream before = System.out;
        ByteArrayOutputStream taken = new ByteArrayOutputStream();
        try (PrintStream out = new PrintStream(taken, true)) {
            System.setOut(out);
            MQAdminStartup.main0(args.toArray(new String[0]), null);
        } finally {
            System.setOut(before);
        }
        return new String(taken.toByteArray(), Text.UTF_8);
    }

    /** Masks times, ids, addresses of clients, rates and paths, and squeezes blanks. */
    private static String plain(String text) {
        return text.replaceAll("\u001b\\[[0-9;]*m", "")
            .replaceAll("[0-9A-F]{56}", "<id>").replaceAll("[0-9A-F]{32}", "<id>")
            .replaceAll("\\d{4}-\\d\\d-\\d\\d[ #]\\d\\d:\\d\\d:\\d\\d([,:.]\\d{3})?", "<time>")
            .replaceAll("\\b1[6-9]\\d{11}\\b", "<millis>")
            .replaceAll("\\d{1,3}\\.\\d{1,3}\\.\\d{1,3}\\.\\d{1,3}@[^ \\s\"]*", "<client>")
            .replaceAll("127\\.0\\.0\\.1:(?!" + port(Env.broker) + "\\b|" + port(Env.namesrv) + "\\b)\\d+", "<addr>")
            .replaceAll("\\d{1,3}\\.\\d{1,3}\\.\\d{1,3}\\.\\d{1,3}:(?!" + port(Env.broker) + "\\b|" + port(Env.namesrv) + "\\b)\\d+", "<addr>")
            .replaceAll("\\b(?!127\\.0\\.0\\.1)\\d{1,3}\\.\\d{1,3}\\.\\d{1,3}\\.\\d{1,3}\\b", "<ip>")
            .replaceAll("\\b\\d+\\.\\d\\d+\\b(?!\\.)", "<rate>")
            .replaceAll("(CommitLog Offset: +|commitLogOffset=|physicOffset=|CommitLogMaxOffset\\s+)\\d+", "$1<position>")
            .replaceAll("exceptionDesc=[^\\]]{5,}\\]", "exceptionDesc=<text>]")
            .replaceAll("/\\S*msgbodys\\S*", "<path>").replaceAll("(?m)[ \t]+$", "").replaceAll("[ \t]+", " ").replaceAll("-{3,}", "---").trim();
    }

    private static String port(String addr) {
        return addr.substring(addr.lastIndexOf(':') + 1);
    }

    private static void tool(Case c, String step, String line, String... more) {
        c.fact(step, "text", plain(run(line, more)).replace("\r", ""));
    }

    /** As `tool`, for commands that go through their queues in no order. */
    private static void toolSorted(Case c, String step, String line) {
        toolSorted(c, step, line, text -> true);
    }

    /** With the lines of the output that are wanted. */
    private static void toolSorted(Case c, String step, String line, Predicate<String> wanted) {
        String[] lines = plain(run(line)).replace("\r", "").split("\n");
        c.fact(step, "text", Arrays.stream(lines).filter(wanted).sorted().collect(Collectors.joining("\n")));
    }

    private static void commands(Case c) throws Exception {
        // Names of one length in every run: the tool pads its columns by it.
        String topic = c.unique("t");
        String group = c.unique("g");
        tool(c, "updateTopic", "updateTopic -b " + Env.broker + " -t " + topic + " -r 2 -w 2");
        tool(c, "updateTopicCluster", "updateTopic -c DefaultCluster -t " + topic + " -r 2 -w 2");
        Env.routed(topic);
        tool(c, "topicRoute", "topicRoute -t " + topic);
        tool(c, "topicRouteList", "topicRoute -l -t " + topic);
        tool(c, "topicClusterList", "topicClusterList -t " + topic);
        tool(c, "topicStatusEmpty", "topicStatus -t " + topic);
        tool(c, "updateTopicPerm", "updateTopicPerm -b " + Env.broker + " -t " + topic + " -p 4");
        tool(c, "updateTopicPermBack", "updateTopicPerm -c DefaultCluster -t " + topic + " -p 6");
        String allocated = run("allocateMQ -t " + topic + " -i 10.0.0.1,10.0.0.2");
        // Which client gets which queue depends on the topic's hash code.
        c.fact("allocateMQ", "first", allocated.split("\"10.0.0.1\":\\[\\{").length - 1, "second", allocated.split("\"10.0.0.2\":\\[\\{").length - 1,
            "queues", allocated.contains("\"queueId\":0") && allocated.contains("\"queueId\":1"));
        tool(c, "updateSubGroup", "updateSubGroup -b " + Env.broker + " -g " + group + " -r 3");
        tool(c, "getConsumerConfig", "getConsumerConfig -g " + group);
        tool(c, "sendMessage", "sendMessage -t " + topic + " -p hello -k key1 -c tag1 -b broker-a -i 0");
        DefaultMQProducer producer = Env.producer(c, c.unique("pg"));
        SendResult sent = producer.send(new Message(topic, "tag2", "key2", Text.bytes("body2")), Env.queue(topic, 1));
        tool(c, "topicStatus", "topicStatus -t " + topic);
        tool(c, "queryMsgById", "queryMsgById -t " + topic + " -i " + sent.getOffsetMsgId());
        Case.await(8000, () -> {
            try {
                return Env.admin().viewMessage(topic, sent.getMsgId()) != null;
            } catch (Exception error) {
                return false;
            }
        });
        tool(c, "queryMsgByUniqueKey", "queryMsgByUniqueKey -t " + topic + " -i " + sent.getMsgId());
        tool(c, "queryMsgByKey", "queryMsgByKey -t " + topic + " -k key2");
        tool(c, "queryMsgByOffset", "queryMsgByOffset -t " + topic + " -b broker-a -i 1 -o 0");
        tool(c, "queryMsgByOffsetNone", "queryMsgByOffset -t " + topic + " -b broker-a -i 1 -o 5");
        toolSorted(c, "printMsg", "printMsg -t " + topic + " -d true");
        tool(c, "consumeMessage", "consumeMessage -t " + topic + " -b broker-a -i 0 -o 0 -c 1");
        tool(c, "printMsgByQueue", "printMsgByQueue -t " + topic + " -a broker-a -i 0 -p true -f true");
        tool(c, "consumerConnectionOffline", "consumerConnection -g " + group);
        DefaultMQPushConsumer consumer = Env.consumer(c, group);
        consumer.subscribe(topic, "*");
        Sink sink = Sink.accepting(consumer);
        consumer.start();
        sink.await(30000, 2);
        Case.await(10000, () -> Env.admin().examineConsumeStats(group, topic).computeTotalDiff() == 0);
        Env.routed("%RETRY%" + group);
        toolSorted(c, "consumerConnection", "consumerConnection -g " + group);
        toolSorted(c, "consumerProgress", "consumerProgress -g " + group);
        toolSorted(c, "consumerProgressClients", "consumerProgress -s true -g " + group);
        toolSorted(c, "consumerStatus", "consumerStatus -g " + group);
        tool(c, "producerConnection", "producerConnection -g " + c.unique("pg") + " -t " + topic);
        tool(c, "getConsumerStatus", "getConsumerStatus -g " + group + " -t " + topic);
        // The original lists the topic's own name among the groups that consume it.
        toolSorted(c, "queryMsgByIdTrack", "queryMsgById -t " + topic + " -i " + sent.getOffsetMsgId(), text -> !text.contains("consumerGroup=" + topic));
        consumer.shutdown();
        toolSorted(c, "resetOffsetByTime", "resetOffsetByTime -g " + group + " -t " + topic + " -s 0");
        tool(c, "resetOffsetByTimeQueue", "resetOffsetByTime -g " + group + " -t " + topic + " -s -1 -b " + Env.broker + " -q 0 -o 1");
        toolSorted(c, "skipAccumulatedMessage", "skipAccumulatedMessage -g " + group + " -t " + topic);
        String copy = c.unique("copy");
        run("updateSubGroup -b " + Env.broker + " -g " + copy);
        tool(c, "cloneGroupOffset", "cloneGroupOffset -s " + group + " -d " + copy + " -t " + topic + " -o true");
        tool(c, "queryCq", "queryCq -t " + topic + " -q 0 -i 0 -c 2 -b " + Env.broker);
        tool(c, "updateOrderConf", "updateOrderConf -t " + topic + " -m put -v broker-a:2");
        tool(c, "getOrderConf", "updateOrderConf -t " + topic + " -m get");
        tool(c, "deleteOrderConf", "updateOrderConf -t " + topic + " -m delete");
        tool(c, "updateKvConfig", "updateKvConfig -s " + c.unique("ns") + " -k key -v value");
        tool(c, "deleteKvConfig", "deleteKvConfig -s " + c.unique("ns") + " -k key");
        tool(c, "updateBrokerConfig", "updateBrokerConfig -b " + Env.broker + " -k maxTransferCountOnMessageInMemory -v 32");
        tool(c, "updateNamesrvConfig", "updateNamesrvConfig -k waitSecondsForService -v 45");
        tool(c, "setConsumeMode", "setConsumeMode -b " + Env.broker + " -t " + topic + " -g " + group + " -m PULL -q 0");
        toolSorted(c, "statsAll", "statsAll -t " + topic, text -> text.indexOf(topic) == text.lastIndexOf(topic));
        tool(c, "cleanExpiredCQ", "cleanExpiredCQ -b " + Env.broker);
        tool(c, "deleteExpiredCommitLog", "deleteExpiredCommitLog -b " + Env.broker);
        tool(c, "cleanUnusedTopic", "cleanUnusedTopic -b " + Env.broker);
        tool(c, "haStatus", "haStatus -b " + Env.broker);
        c.fact("checkMsgSendRT", "sent", run("checkMsgSendRT -t " + topic + " -a 2 -s 16").split("true").length - 1);
        Path list = Files.createTempFile("topics", ".json");
        Files.write(list, Text.bytes("[{\"topicName\":\"" + c.unique("l1") + "\",\"readQueueNums\":1,\"writeQueueNums\":1,\"perm\":6},{\"topicName\":\"" + c.unique("l2") + "\"}]"));
        tool(c, "updateTopicList", "updateTopicList -b " + Env.broker + " -f " + list);
        Files.write(list, Text.bytes("[{\"groupName\":\"" + c.unique("lg1") + "\",\"retryMaxTimes\":7}]"));
        tool(c, "updateSubGroupList", "updateSubGroupList -b " + Env.broker + " -f " + list);
        Files.delete(list);
        c.fact("topicListHas", "both", run("topicList").contains(c.unique("l1")) && run("topicList").contains(c.unique("l2")));
        c.fact("clusterList", "lines", plain(run("clusterList")).split("\n").length, "has", run("clusterList").contains(Env.broker));
        c.fact("clusterListMore", "lines", plain(run("clusterList -m")).split("\n").length);
        c.fact("brokerStatus", "has", run("brokerStatus -b " + Env.broker).contains("commitLogMaxOffset"));
        c.fact("getBrokerConfig", "has", run("getBrokerConfig -b " + Env.broker).contains("brokerClusterName"));
        c.fact("getNamesrvConfig", "has", run("getNamesrvConfig").contains("listenPort"));
        c.fact("brokerConsumeStats", "has", run("brokerConsumeStats -b " + Env.broker).contains("Diff"));
        c.fact("consumerProgressAll", "has", run("consumerProgress").contains(group.substring(0, Math.min(group.length(), 60))));
        c.fact("topicListCluster", "has", run("topicList -c").contains(topic));
        c.fact("producer", "has", run("producer -b " + Env.broker).contains(c.unique("pg")));
        tool(c, "deleteSubGroup", "deleteSubGroup -b " + Env.broker + " -g " + group + " -r true");
        tool(c, "deleteSubGroupCluster", "deleteSubGroup -c DefaultCluster -g " + copy + " -r true");
        tool(c, "deleteTopic", "deleteTopic -c DefaultCluster -t " + topic);
        c.fact("deletedRoute", "gone", Case.await(40000, () -> !run("topicRoute -t " + topic).contains("queueDatas")));
        tool(c, "wipeNobody", "wipeWritePerm -b nobody");
        tool(c, "addNobody", "addWritePerm -b nobody");
        tool(c, "unknownCommand", "noSuchCommand");
    }
}
