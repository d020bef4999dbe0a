import com.google.gson.Gson;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import com.google.protobuf.Any;
import com.google.protobuf.DynamicMessage;
import com.google.protobuf.Message;
import com.google.protobuf.util.JsonFormat;
import com.google.rpc.BadRequest;
import com.google.rpc.ErrorInfo;
import io.grpc.CallOptions;
import io.grpc.Channel;
import io.grpc.ClientInterceptors;
import io.grpc.Context;
import io.grpc.Metadata;
import io.grpc.MethodDescriptor;
import io.grpc.StatusRuntimeException;
import io.grpc.netty.NettyChannelBuilder;
import io.grpc.protobuf.ProtoMethodDescriptorSupplier;
import io.grpc.protobuf.StatusProto;
import io.grpc.stub.ClientCalls;
import io.grpc.stub.MetadataUtils;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.Iterator;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import java.util.function.Supplier;
import procman.v1.ProcmanServiceGrpc;

/**
 * Calls procman through grpc-java, as lines of JSON on stdin ask for it.
 *
 * <p>See driver-client.ts for what they say.
 */
public class Driver {
  /** A stream that is read when the next event is asked for; it has a thread for that. */
  record Stream(Iterator<Message> events, Context.CancellableContext context) {}

  static final PrintStream output = new PrintStream(System.out, true, StandardCharsets.UTF_8);
  static final ExecutorService threads = Executors.newCachedThreadPool();
  static final Map<Integer, Stream> streams = new ConcurrentHashMap<>();

  public static void main(String[] args) throws Exception {
    String address = JsonParser.parseString(args[0]).getAsJsonObject().get("address").getAsString();
    Channel channel = NettyChannelBuilder.forTarget(address).usePlaintext().build();
    var lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    for (String line; (line = lines.readLine()) != null; ) {
      JsonObject ask = JsonParser.parseString(line).getAsJsonObject();
      int id = ask.get("id").getAsInt();
      if (ask.has("leave")) {
        streams.get(id).context().cancel(null);
      } else if (ask.has("next")) {
        Stream stream = streams.get(id);
        threads.submit(() -> answer(id, () -> stream.events().hasNext() ? stream.events().next() : null));
      } else {
        start(channel, id, ask);
      }
    }
  }

  @SuppressWarnings("unchecked")
  static void start(Channel channel, int id, JsonObject ask) throws Exception {
    var method = (MethodDescriptor<Message, Message>) methodOf(ask.get("method").getAsString());
    var metadata = new Metadata();
    for (var pair : ask.getAsJsonObject("metadata").entrySet()) {
      var key = Metadata.Key.of(pair.getKey(), Metadata.ASCII_STRING_MARSHALLER);
      metadata.put(key, pair.getValue().getAsString());
    }
    Channel marked =
        ClientInterceptors.intercept(channel, MetadataUtils.newAttachHeadersInterceptor(metadata));
    JsonElement deadline = ask.get("deadline");
    CallOptions options =
        deadline == null
            ? CallOptions.DEFAULT
            : CallOptions.DEFAULT.withDeadlineAfter(
                (long) (deadline.getAsDouble() * 1000), TimeUnit.MILLISECONDS);
    Message request = requestOf(method, ask.get("request").toString());
    if (method.getType() == MethodDescriptor.MethodType.UNARY) {
      threads.submit(
          () -> answer(id, () -> ClientCalls.blockingUnaryCall(marked, method, options, request)));
      return;
    }
    var context = Context.current().withCancellation();
    context.run(
        () -> {
          var events = ClientCalls.blockingServerStreamingCall(marked, method, options, request);
          streams.put(id, new Stream(events, context));
        });
  }

  static MethodDescriptor<?, ?> methodOf(String name) {
    return ProcmanServiceGrpc.getServiceDescriptor().getMethods().stream()
        .filter(method -> method.getBareMethodName().equals(name))
        .findFirst()
        .orElseThrow();
  }

  static Message requestOf(MethodDescriptor<Message, Message> method, String json) throws Exception {
    var supplier = (ProtoMethodDescriptorSupplier) method.getSchemaDescriptor();
    var builder = DynamicMessage.newBuilder(supplier.getMethodDescriptor().getInputType());
    JsonFormat.parser().merge(json, builder);
    return method.parseRequest(builder.build().toByteString().newInput());
  }

  static void answer(int id, Supplier<Message> receive) {
    var answer = new JsonObject();
    answer.addProperty("id", id);
    try {
      Message message = receive.get();
      if (message == null) answer.addProperty("done", true);
      else answer.add("message", JsonParser.parseString(JsonFormat.printer().print(message)));
    } catch (StatusRuntimeException error) {
      answer.add("error", factsOf(error));
    } catch (Exception error) {
      error.printStackTrace();
    }
    say(answer);
  }

  static JsonObject factsOf(StatusRuntimeException error) {
    record Facts(
        String code, String message, String reason, String domain, String jobId, String[] fields) {}
    String reason = null, domain = null, jobId = null;
    String[] fields = {};
    try {
      for (Any detail : StatusProto.fromThrowable(error).getDetailsList()) {
        if (detail.is(ErrorInfo.class)) {
          var info = detail.unpack(ErrorInfo.class);
          reason = info.getReason();
          domain = info.getDomain();
          jobId = info.getMetadataMap().get("job_id");
        } else if (detail.is(BadRequest.class)) {
          fields =
              detail.unpack(BadRequest.class).getFieldViolationsList().stream()
                  .map(BadRequest.FieldViolation::getField)
                  .toArray(String[]::new);
        }
      }
    } catch (Exception notADetail) {
      throw new IllegalStateException(notADetail);
    }
    var status = error.getStatus();
    String code = status.getCode().name();
    var facts = new Facts(code, status.getDescription(), reason, domain, jobId, fields);
    return new Gson().toJsonTree(facts).getAsJsonObject();
  }

  static synchronized void say(JsonObject answer) {
    output.println(answer);
  }
}
