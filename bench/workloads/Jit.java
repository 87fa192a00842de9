// SPDX-License-Identifier: GPL-2.0-or-later
// Calls, maps, sorting, floating point, text: what a JIT compiles, and what its run time does itself.
import java.util.Arrays;
import java.util.HashMap;

public class Jit {
    static int fib(int n) {
        return n < 2 ? n : fib(n - 1) + fib(n - 2);
    }

    static long maps(int n) {
        HashMap<String, Long> map = new HashMap<>();
        for (int i = 0; i < n; i++)
            map.merge("k" + i % 5000, (long) i, Long::sum);
        return map.values().stream().mapToLong(Long::longValue).sum();
    }

    static int sort(int n) {
        int[] a = new int[n];
        for (int i = 0, x = 1; i < n; i++)
            a[i] = x = x * 1103515245 + 12345;
        Arrays.sort(a);
        return a[n / 2];
    }

    static double matrix(int n) {
        double[] a = new double[n * n], b = new double[n * n];
        double trace = 0;
        for (int i = 0; i < n * n; i++) {
            a[i] = i % 7;
            b[i] = i % 11;
        }
        for (int i = 0; i < n; i++)
            for (int j = 0; j < n; j++) {
                double s = 0;
                for (int k = 0; k < n; k++)
                    s += a[i * n + k] * b[k * n + j];
                trace += i == j ? s : 0;
            }
        return trace;
    }

    static int text(int n) {
        StringBuilder b = new StringBuilder();
        for (int i = 0; i < n; i++)
            b.append(i * 31).append(',');
        return b.toString().split(",").length;
    }

    public static void main(String[] arguments) {
        System.out.println(fib(40) + " " + maps(3000000) + " " + sort(3000000) + " " + matrix(400) + " " + text(1000000));
    }
}
