// gRPC C++ (callback API) as a peer of `./dev bench rpc`: `peer serve MESSAGES`, `peer load TARGET CALLS CALLERS BYTES`.
#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <csignal>
#include <cstdio>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "echo.grpc.pb.h"

namespace {

constexpr int kUnlimited = -1;

class Echoes final : public bench::Bench::CallbackService {
 public:
  explicit Echoes(int messages) : messages_(messages) {}

  grpc::ServerUnaryReactor* Unary(grpc::CallbackServerContext* context, const bench::Echo* request,
                                  bench::Echo* response) override {
    response->set_text(request->text());
    auto* reactor = context->DefaultReactor();
    reactor->Finish(grpc::Status::OK);
    return reactor;
  }

  grpc::ServerWriteReactor<bench::Echo>* Stream(grpc::CallbackServerContext*, const bench::Echo* request) override {
    return new EchoStream(*request, messages_);
  }

 private:
  class EchoStream final : public grpc::ServerWriteReactor<bench::Echo> {
   public:
    EchoStream(const bench::Echo& message, int count) : left_(count) {
      message_.set_text(message.text());
      Next();
    }
    void OnWriteDone(bool ok) override { ok ? Next() : Finish(grpc::Status::CANCELLED); }
    void OnDone() override { delete this; }

   private:
    void Next() {
      if (left_-- > 0) {
        // Without a buffer hint: with one, ten connections of four calls each were seen to stand still.
        StartWrite(&message_);
      } else {
        Finish(grpc::Status::OK);
      }
    }
    bench::Echo message_;
    int left_;
  };

  int messages_;
};

int Serve(int messages) {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  Echoes service(messages);
  int port = 0;
  grpc::ServerBuilder builder;
  builder.SetMaxReceiveMessageSize(kUnlimited);
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
  builder.RegisterService(&service);
  auto server = builder.BuildAndStart();
  if (!server) return 1;
  std::printf("%d\n", port);
  std::fflush(stdout);
  int signal = 0;
  sigwait(&signals, &signal);
  server->Shutdown(std::chrono::system_clock::now());
  return 0;
}

double CPUSeconds() {
  timespec time{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return time.tv_sec + time.tv_nsec / 1e9;
}

// Callers that each wait for an answer before they ask again, on one connection.
class Load {
 public:
  Load(bench::Bench::Stub* stub, int bytes) : stub_(stub) { request_.set_text(std::string(bytes, 'x')); }

  std::vector<double> Run(int calls, int callers) {
    left_ = calls / callers * callers;
    done_ = 0;
    latencies_.assign(left_, 0);
    const int total = left_;
    for (int i = 0; i < callers; ++i) Next();
    std::unique_lock<std::mutex> lock(mutex_);
    finished_.wait(lock, [&] { return done_ == total; });
    return latencies_;
  }

 private:
  struct Call {
    grpc::ClientContext context;
    bench::Echo response;
    std::chrono::steady_clock::time_point start = std::chrono::steady_clock::now();
  };

  void Next() {
    const int index = --left_;
    if (index < 0) return;
    auto* call = new Call;
    call->context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(20));
    stub_->async()->Unary(&call->context, &request_, &call->response, [this, call, index](grpc::Status status) {
      if (!status.ok() || call->response.text().size() != request_.text().size()) std::abort();
      latencies_[index] =
          std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - call->start).count();
      delete call;
      Next();
      std::lock_guard<std::mutex> lock(mutex_);
      if (++done_ == static_cast<int>(latencies_.size())) finished_.notify_all();
    });
  }

  bench::Bench::Stub* stub_;
  bench::Echo request_;
  std::atomic<int> left_{0};
  std::vector<double> latencies_;
  std::mutex mutex_;
  std::condition_variable finished_;
  int done_ = 0;
};

int RunLoad(const std::string& target, int calls, int callers, int bytes) {
  auto stub = bench::Bench::NewStub(grpc::CreateChannel(target, grpc::InsecureChannelCredentials()));
  Load load(stub.get(), bytes);
  load.Run(calls / 10, callers);
  const auto start = std::chrono::steady_clock::now();
  const double before = CPUSeconds();
  auto latencies = load.Run(calls, callers);
  const double cpu = CPUSeconds() - before;
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  std::sort(latencies.begin(), latencies.end());
  auto percentile = [&](double share) { return latencies[static_cast<size_t>((latencies.size() - 1) * share)]; };
  std::printf("{\"calls\": %zu, \"seconds\": %f, \"cpu_seconds\": %f, \"p50_ms\": %f, \"p99_ms\": %f}\n",
              latencies.size(), seconds, cpu, percentile(0.5), percentile(0.99));
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string command = argc > 1 ? argv[1] : "";
  if (command == "serve" && argc == 3) return Serve(std::stoi(argv[2]));
  if (command == "load" && argc == 6)
    return RunLoad(argv[2], std::stoi(argv[3]), std::stoi(argv[4]), std::stoi(argv[5]));
  std::fprintf(stderr, "usage: peer serve MESSAGES | peer load TARGET CALLS CALLERS BYTES\n");
  return 2;
}
